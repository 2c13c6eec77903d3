"""Bulk jobs on Ray: pictures and videos of object stores, stylized by many workers."""

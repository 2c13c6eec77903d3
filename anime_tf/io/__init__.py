"""Files in and out: pictures, videos, folders, atomic writes."""

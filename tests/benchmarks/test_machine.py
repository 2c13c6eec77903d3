import json

from benchmarks.machine import machine_facts


def test_machine_facts():
    facts = machine_facts()
    assert facts["processor"]
    assert 1 <= facts["cores_usable"] <= facts["cores"]
    assert facts["tensorflow"].startswith("2.")
    assert facts["keras"].startswith("3.")
    json.dumps(facts)

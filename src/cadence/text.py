"""The text form of plans, read back: being written."""


def parse(text: str):
    raise NotImplementedError


def to_json(plan):
    raise NotImplementedError


def from_json(data):
    raise NotImplementedError

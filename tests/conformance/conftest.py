"""At the end of a run without failures, the table of what was compared."""

import table


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == 0:
        table.write()

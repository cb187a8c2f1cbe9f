"""`python -m t3export`."""

import os
import sys

# `-m` puts the working directory first, where an exporter/ or a statistics.py may be anybody's; a checkout is ours.
if os.path.realpath(sys.path[0]) == os.getcwd() != os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
    del sys.path[0]

from t3export.cli import main

main()

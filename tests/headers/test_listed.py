#!/usr/bin/env python3
"""Every header under include/ is in the list that include/meson.build installs.

    test_listed.py INCLUDE_FOLDER HEADER...
"""
import os
import sys

top, listed = sys.argv[1], set(sys.argv[2:])
there = {os.path.relpath(os.path.join(folder, name), top)
         for folder, _, names in os.walk(top) for name in names if name.endswith('.h')}
for name in sorted(there - listed):
    print('%s is not in include/meson.build' % name)
for name in sorted(listed - there):
    print('%s is in include/meson.build, but not there' % name)
sys.exit(there != listed)

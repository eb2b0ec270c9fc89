#!/usr/bin/python3
"""Gives Doxygen the comments of a header as documentation: those in front of a declaration, and those behind it on the
same line, which may go on below in the same column.

usage: docs/doxygen_filter.py HEADER
"""

import re
import sys

behind = None  # the column of the comment behind the last declaration, as long as it goes on
with open(sys.argv[1], encoding="utf-8") as header:
    for line in header:
        alone = re.match(r"( *)//( |$)", line)
        trailing = None if alone else re.match(r"(.*\S +)// ", line)
        if alone and behind == len(alone[1]):
            line = line.replace("//", "///<", 1)
        else:
            behind = len(trailing[1]) if trailing else None
            if alone:
                line = line.replace("//", "///", 1)
            elif trailing:
                line = trailing[1] + "///<" + line[behind + 2:]
        sys.stdout.write(re.sub(r" = \[\].*\};", ";", line))  # Sphinx reads no lambdas as initial values

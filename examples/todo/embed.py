#!/usr/bin/env python3
"""Turns files into a C header with one array for each: embed.py OUTPUT INPUT...

page/app.js becomes: static const unsigned char app_js[] = {...}; its size is sizeof(app_js).
"""
import os
import re
import sys


def main():
    output, inputs = sys.argv[1], sys.argv[2:]
    with open(output, 'w', encoding='ascii') as out:
        out.write('/* Made by embed.py; do not edit. */\n')
        for path in inputs:
            with open(path, 'rb') as file:
                data = file.read()
            out.write('static const unsigned char %s[] = {\n' % re.sub(r'\W', '_', os.path.basename(path)))
            for at in range(0, len(data), 20):
                out.write('    %s,\n' % ', '.join(map(str, data[at:at + 20])))
            out.write('};\n')


if __name__ == '__main__':
    main()

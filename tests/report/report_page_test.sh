#!/bin/bash
# Makes report pages of two fixtures, opens them in headless Chromium at three widths, light and dark, and
# looks at what is there: no errors, all charts and tables, nothing too wide, hostile strings as text.
# usage: report_page_test.sh TEMPLATE_DIR UPLOT_DIR
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 TEMPLATE_DIR UPLOT_DIR" >&2; exit 2; }
command -v chromium >/dev/null || { echo "SKIP: chromium is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
/usr/bin/python3 "$(dirname "$0")/report_page_test.py" "$1" "$2" "$work"

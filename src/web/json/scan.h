/* What JSON text will cost once it is a json_t, found before it is made one. */
#ifndef TEPAL_WEB_JSON_SCAN_H
#define TEPAL_WEB_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_SCAN_MAX_DEPTH = 512 };

struct json_scan {
    size_t depth, max_depth; /* so far; at most JSON_SCAN_MAX_DEPTH */
    size_t memory;           /* octets that the value takes at most, with malloc's share */
    size_t token, longest;   /* octets of the present, and the longest string, number or name */
    size_t table;            /* of the largest table that was doubled, before */
    bool in_string, escaped;
    bool in_word; /* a number or a name */
    bool too_deep;
    /* Of each open container: 2 times the members so far, and 1 for an object. */
    uint32_t open[JSON_SCAN_MAX_DEPTH];
};

void json_scan_init(struct json_scan *scan);

/* Goes on with len octets. Text that is no JSON is counted at least up to where it stops being
 * some. */
void json_scan_feed(struct json_scan *scan, const char *text, size_t len);

/* Octets that making the value takes beside what it keeps. */
size_t json_scan_passing(const struct json_scan *scan);

#endif

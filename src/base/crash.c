/* Everything here is safe in a signal handler: no lock, no allocation, nothing of stdio or of the
 * time zone. */
#include "base/crash.h"

#include "base/log.h"
#include "base/sink.h"
#include "base/stamp.h"

#include <string.h>

void crash_begin(struct crash_line *line, const char *level)
{
    stamp_now(line->text);
    line->len = STAMP_LEN;
    crash_add(line, " ");
    crash_add(line, level);
    crash_add(line, ": ");
}

void crash_add(struct crash_line *line, const char *text)
{
    size_t room = sizeof(line->text) - line->len - 1; /* the last one is for the line's end */
    line->len += log_escape(line->text + line->len, room, text, strlen(text));
}

void crash_add_number(struct crash_line *line, size_t number)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    crash_add(line, digits + at);
}

void crash_write(struct crash_line *line)
{
    line->text[line->len++] = '\n';
    sink_last_words(line->text, line->len);
}

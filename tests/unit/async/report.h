/* For tests of what goes to the log or to a function that takes lines: collects it. */
#ifndef TEPAL_TESTS_UNIT_ASYNC_REPORT_H
#define TEPAL_TESTS_UNIT_ASYNC_REPORT_H

#include "../check.h"

#include <tepal/log.h>

#include <pthread.h>

struct report {
    pthread_mutex_t mutex; /* the watchdog's thread logs, too */
    char text[256 * 1024];
    size_t len;
};

static struct report report = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static inline void report_clear(void)
{
    pthread_mutex_lock(&report.mutex);
    report.len = 0;
    report.text[0] = '\0';
    pthread_mutex_unlock(&report.mutex);
}

static inline void report_line(const char *line, void *arg)
{
    (void)arg;
    pthread_mutex_lock(&report.mutex);
    size_t len = strlen(line);
    assert_true(report.len + len + 2 < sizeof(report.text));
    memcpy(report.text + report.len, line, len);
    report.len += len;
    report.text[report.len++] = '\n';
    report.text[report.len] = '\0';
    pthread_mutex_unlock(&report.mutex);
}

static inline void report_log(tepal_log_level level, const char *line, void *arg)
{
    assert_true(level == TEPAL_LOG_WARNING || level == TEPAL_LOG_INFO);
    report_line(line, arg);
}

static inline bool report_has(const char *text)
{
    pthread_mutex_lock(&report.mutex);
    bool has = strstr(report.text, text) != NULL;
    pthread_mutex_unlock(&report.mutex);
    return has;
}

static inline void expect_reported(const char *text)
{
    if (!report_has(text))
        fail_msg("\"%s\" is not in the report:\n%s", text, report.text);
}

static inline void expect_not_reported(const char *text)
{
    if (report_has(text))
        fail_msg("\"%s\" is in the report:\n%s", text, report.text);
}

/* What is said of the task, from its name to the next task. */
static inline const char *report_of(const char *name)
{
    static char text[64 * 1024];
    char begin[128];
    snprintf(begin, sizeof(begin), " \"%s\"", name);
    const char *at = strstr(report.text, begin);
    if (!at)
        fail_msg("%s is not in the report:\n%s", begin, report.text);
    const char *end = strstr(at + 1, "\ntask ");
    size_t len = end ? (size_t)(end - at) : strlen(at);
    assert_true(len < sizeof(text));
    memcpy(text, at, len);
    text[len] = '\0';
    return text;
}

static inline void expect_of(const char *name, const char *text)
{
    const char *said = report_of(name);
    if (!strstr(said, text))
        fail_msg("\"%s\" is not in what is said of %s:\n%s", text, name, said);
}

static inline void expect_not_of(const char *name, const char *text)
{
    const char *said = report_of(name);
    if (strstr(said, text))
        fail_msg("\"%s\" is in what is said of %s:\n%s", text, name, said);
}

#endif

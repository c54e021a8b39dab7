/* What tests of tepal_file_save() need. */
#ifndef TEPAL_ASYNC_FILE_FILE_SAVE_H
#define TEPAL_ASYNC_FILE_FILE_SAVE_H

#include <stdbool.h>

/* Goes on as if the file system had no files without names. */
extern bool file_save_named;

#endif

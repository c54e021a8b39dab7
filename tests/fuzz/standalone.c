/* Runs a fuzz target once over every file of the folders it is given, without libFuzzer: the seeds
 * and all that was ever found stay tests. A folder that is not there has no files. */
#include "fuzz.h"

#include <dirent.h>

static bool run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    static char data[1 << 20];
    if (!file) {
        perror(path);
        return false;
    }
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    char *copy = fuzz_copy(data, size);
    fprintf(stderr, "%s\n", path); /* the last one named is the one that failed */
    LLVMFuzzerTestOneInput((const uint8_t *)copy, size);
    free(copy);
    return true;
}

/* Returns the number of files that ran, or -1. */
static int run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = 0;
    struct dirent *entry;
    while (dir && count >= 0 && (entry = readdir(dir))) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        count = run_file(path) ? count + 1 : -1;
    }
    if (dir)
        closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = run_folder(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs\n", total);
    return total == 0;
}

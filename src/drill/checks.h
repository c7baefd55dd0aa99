/* checks: `with` of checks. */
#ifndef DRILL_CHECKS_H
#define DRILL_CHECKS_H

struct hash_with {
    char *root;
};

struct file_with {
    char *path;
};

#endif

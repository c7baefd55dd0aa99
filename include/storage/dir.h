/*
 * dir: a storage in a folder. One file an object, written beside its name,
 * fsynced, renamed, folder fsynced. Modification times are the file's.
 */
#ifndef STORAGE_DIR_H
#define STORAGE_DIR_H

#include "storage/storage.h"

/* The folder must exist when the first object is put or read: a missing one
 * (an unmounted disk) is ERR_UNAVAIL, never made on the way. */
struct storage *storage_dir(const char *path);

#endif

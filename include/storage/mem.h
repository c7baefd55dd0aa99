/* mem: a storage in memory, for tests and simulation. */
#ifndef STORAGE_MEM_H
#define STORAGE_MEM_H

#include "storage/storage.h"

struct storage *storage_mem(void);

#endif

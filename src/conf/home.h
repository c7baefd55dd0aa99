/* home: the folder that ~ means. Private to conf. */
#ifndef CONF_HOME_H
#define CONF_HOME_H

/* $HOME, else the account's folder, else "/". Borrowed. */
const char *home_folder(void);

/* "~/x" or "~" with the home folder put in; other paths are copied. Owned. */
char *home_expand(const char *path);

#endif

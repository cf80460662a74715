/* compat/front/log.h: what the library has to say, and who hears it. */
#ifndef COMPAT_FRONT_LOG_H
#define COMPAT_FRONT_LOG_H

/* A line: 0 an error, 1 a warning, 2 information. From any thread, with any locks held. */
void qf_say(int level, const char *line);

#endif /* COMPAT_FRONT_LOG_H */

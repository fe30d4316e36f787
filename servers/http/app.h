/* The life of the process, from its arguments to its exit status. */
#ifndef HTTP_APP_H
#define HTTP_APP_H

/*
 * Runs the server until it is told to stop: 0 after SIGTERM or SIGINT, 1 on a failure, 2 on a wrong
 * command line or configuration. Main thread, once per process.
 */
int app_run(int argument_count, char **arguments);

#endif

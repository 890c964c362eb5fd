// exchange UID FOLDER A B: as the user UID, exchanges the names A and B in FOLDER as fast as it can, until it is
// ended. It writes a dot to its standard output when it has begun, and on SIGTERM how often it exchanged them.
//
// What stands under the names does not matter, and a name that is missing for a moment does not stop it: the other
// program is free to replace either.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static volatile sig_atomic_t is_ended = 0;
static void end(int signal) {
  (void)signal;
  is_ended = 1;
}

int main(int count, char **words) {
  if (count != 5) {
    fprintf(stderr, "usage: exchange UID FOLDER A B\n");
    return 2;
  }
  uid_t user = (uid_t)atoi(words[1]);
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  // Test runners block it.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (getuid() == 0 && (setgroups(0, NULL) != 0 || setgid(user) != 0 || setuid(user) != 0)) {
    perror("exchange: cannot become the user");
    return 1;
  }
  if (getuid() != user) {
    fprintf(stderr, "exchange: is not the user, and not root\n");
    return 1;
  }
  int folder = open(words[2], O_RDONLY | O_DIRECTORY);
  if (folder < 0) {
    perror(words[2]);
    return 1;
  }
  unsigned long done = 0, failed = 0;
  int first_error = 0;
  if (write(1, ".", 1) != 1) return 1;
  while (!is_ended) {
    if (syscall(SYS_renameat2, folder, words[3], folder, words[4], RENAME_EXCHANGE) == 0) {
      done++;
    } else {
      failed++;
      if (first_error == 0) first_error = errno;
    }
  }
  printf("%lu %lu %d\n", done, failed, first_error);
  return 0;
}

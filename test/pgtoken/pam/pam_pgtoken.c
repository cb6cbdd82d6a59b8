/*
 * pam_pgtoken hands a password, whole, to a program on its standard input, and lets the login pass if that ends with 0.
 *
 *     auth    required /path/pam_pgtoken.so /path/program ARGUMENT...
 *     account required /path/pam_pgtoken.so
 *
 * pam_exec with expose_authtok would do, but for its limit: it hands on the first PAM_MAX_RESP_SIZE bytes, 512 in Debian
 * 12, and a Kubernetes token has about 1,100. The program finds PAM_USER, PAM_RHOST and PAM_SERVICE in its environment and
 * nothing else there; its standard error is that of the process that authenticates: for PostgreSQL, the database's log.
 *
 * Build: cc -shared -fPIC -Wall -Wextra -Werror -O2 -o pam_pgtoken.so pam_pgtoken.c -lpam
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

/* A program that hangs must not hold a connection of the database for ever: PostgreSQL's authentication_timeout does not
 * interrupt a PAM module. */
#define PROGRAM_SECONDS 10

static char *variable(pam_handle_t *pamh, int item, const char *name)
{
	const void *value = NULL;
	char *out = NULL;

	if (pam_get_item(pamh, item, &value) != PAM_SUCCESS || value == NULL)
		value = "";
	return asprintf(&out, "%s=%s", name, (const char *)value) < 0 ? NULL : out;
}

/* child becomes the program. It never returns. */
static void child(int in, char **argv, char **env)
{
	sigset_t none;
	int null = open("/dev/null", O_WRONLY);

	if (null < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(127);
	/* The database's files and sockets are none of the program's business. */
	if (close_range(3, ~0U, 0) != 0)
		_exit(127);
	/* Handlers and the mask of the database would be inherited; an alarm is kept across exec. */
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(PROGRAM_SECONDS);
	execve(argv[0], argv, env);
	_exit(127);
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* ask runs the program and returns whether it ended with 0. */
static int ask(const char *password, char **argv, char **env)
{
	int fds[2], status = 0, sent;
	pid_t pid, got;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return 0;
	pid = fork();
	if (pid == 0)
		child(fds[0], argv, env);
	close(fds[0]);
	sent = pid < 0 ? -1 : write_all(fds[1], password, strlen(password));
	close(fds[1]);
	if (pid < 0)
		return 0;
	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	return sent == 0 && got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const char *password = NULL;
	char **args, *env[4];
	int result;

	(void)flags;
	if (argc < 1 || argv[0][0] != '/')
		return PAM_SERVICE_ERR;
	result = pam_get_authtok(pamh, PAM_AUTHTOK, &password, NULL);
	if (result != PAM_SUCCESS)
		return result;
	if (password == NULL || *password == '\0')
		return PAM_AUTH_ERR;
	args = calloc((size_t)argc + 1, sizeof(*args));
	if (args == NULL)
		return PAM_BUF_ERR;
	memcpy(args, argv, (size_t)argc * sizeof(*args));
	env[0] = variable(pamh, PAM_USER, "PAM_USER");
	env[1] = variable(pamh, PAM_RHOST, "PAM_RHOST");
	env[2] = variable(pamh, PAM_SERVICE, "PAM_SERVICE");
	env[3] = NULL;
	result = PAM_BUF_ERR;
	if (env[0] != NULL && env[1] != NULL && env[2] != NULL)
		result = ask(password, args, env) ? PAM_SUCCESS : PAM_AUTH_ERR;
	for (int i = 0; i < 3; i++)
		free(env[i]);
	free(args);
	return result;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

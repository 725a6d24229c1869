// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace detente {

int run_program(const std::vector<std::string>& arguments) {
  DETENTE_DCHECK(!arguments.empty());
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ);
  DETENTE_CHECK(error == 0,
                ErrorCode::kIo,
                "[core::run_program] cannot start the program '{}': {}.",
                arguments.front(),
                std::strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    DETENTE_CHECK(errno == EINTR,
                  ErrorCode::kIo,
                  "[core::run_program] lost the program '{}': {}.",
                  arguments.front(),
                  std::strerror(errno));
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace detente

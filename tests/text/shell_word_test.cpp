// SPDX-License-Identifier: Apache-2.0
#include <detente/text/shell_word.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>

namespace detente::text {
namespace {

std::string echoed(const std::string& word) {
  const std::string command = "printf %s " + shell_word(word);
  const std::unique_ptr<FILE, int (*)(FILE*)> shell(popen(command.c_str(), "r"), &pclose);
  std::string out;
  std::array<char, 256> block{};
  while (const std::size_t got = std::fread(block.data(), 1, block.size(), shell.get())) {
    out.append(block.data(), got);
  }
  return out;
}

TEST(ShellWord, LeavesPlainWordsAlone) {
  EXPECT_EQ(shell_word("runs/a-1/recipe.yaml"), "runs/a-1/recipe.yaml");
  EXPECT_EQ(shell_word("optimizer.lr=1e-3,3e-3"), "optimizer.lr=1e-3,3e-3");
}

TEST(ShellWord, IsReadBackByAShell) {
  for (const char* word : {"",
                           "two words",
                           "it's",
                           "$(rm x)",
                           "a;b&c|d",
                           "`x`",
                           "값",
                           "*",
                           "\\n",
                           "~",
                           "\"",
                           "a\nb",
                           "cagrad[c=0.2;rescale=none]"}) {
    EXPECT_EQ(echoed(word), word);
  }
}

}  // namespace
}  // namespace detente::text

// SPDX-License-Identifier: Apache-2.0
// Commands typed in a folder that has a tiny recipe and its data.
#pragma once

#include <detente/cli/cli.h>
#include <tests/train/tiny_run.h>

#include <sstream>
#include <string>
#include <vector>

namespace detente::cli {

class TrainCommandsTest : public train::TinyRunTest {
 protected:
  int call(std::vector<std::string> args) {
    out_.str("");
    err_.str("");
    return cli::run(args, out_, err_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  int train_tiny(const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"train", path("tiny.yaml"), "--out", path("run")};
    args.insert(args.end(), more.begin(), more.end());
    return call(args);
  }
  // The same, in place of a run that may be there, and without a table.
  int train_again(const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"--quiet", "--force"};
    args.insert(args.end(), more.begin(), more.end());
    return train_tiny(args);
  }
  // Exit code of training on a training file with this content.
  int train_on(const std::string& content) {
    write_file_atomic(folder_ / "train.tsv", content);
    return train_tiny({"--quiet"});
  }

  std::ostringstream out_;
  std::ostringstream err_;
};

}  // namespace detente::cli

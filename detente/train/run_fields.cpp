// SPDX-License-Identifier: Apache-2.0
#include <detente/train/run_fields.h>

namespace detente::train {

void describe_machine(FieldVisitor& visitor, std::int64_t& threads, std::string& device) {
  visitor.integer("threads",
                  threads,
                  {.min = 0, .max = 4096},
                  "Threads inside one operation; 0: LibTorch's choice.");
  visitor.text("device", device, "auto (CUDA when there is one), cpu, cuda or cuda:N.");
}

void describe_output(FieldVisitor& visitor, std::string& dir, bool& tensorboard) {
  visitor.section("output", "", [&](FieldVisitor& s) {
    s.text("dir", dir, "Folder of the run; --out overrides it.");
    s.flag("tensorboard", tensorboard, "Also write a TensorBoard event file.");
  });
}

}  // namespace detente::train

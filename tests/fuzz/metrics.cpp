// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl of a stranger's run: what is read must be writable again.
#include <detente/report/run_data.h>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  fuzz::survive([&] {
    const report::RunData run = report::parse_run("folder", "{}", fuzz::text_of(data, size), "");
    for (const auto& epoch : run.epochs) epoch.to_json().dump();
    run.conflict_share();
    run.mean_cosine();
    run.results();
  });
}

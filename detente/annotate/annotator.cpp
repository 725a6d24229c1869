// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/annotator.h>
#include <detente/annotate/failure.h>
#include <detente/core/workers.h>

#include <atomic>
#include <mutex>

namespace detente::annotate {

Annotations annotate_rows(const RowContext& context,
                          const std::vector<Task>& tasks,
                          const std::vector<Row>& rows,
                          Client& client,
                          const AnnotateOptions& options,
                          const std::function<void(std::size_t, std::size_t)>& progress) {
  Annotations all;
  all.results.assign(tasks.size(), std::vector<std::optional<RowResult>>(rows.size()));
  const std::size_t total = tasks.size() * rows.size();
  std::mutex mutex;
  std::atomic<bool> ended = false;
  std::size_t done = 0;
  std::size_t failed_in_turn = 0;
  const auto body = [&](std::size_t /*worker*/, std::size_t i) {
    if (ended || client.stopped()) return;
    const std::size_t row = i / tasks.size();
    const std::size_t task = i % tasks.size();
    RowResult result = run_row(context, tasks[task], task, rows[row], client);
    const std::lock_guard lock(mutex);
    if (result.status == RowStatus::kFailed) {
      const FailureKind kind = result.failure.kind;
      if (kind == FailureKind::kStopped || kind == FailureKind::kFatal ||
          ++failed_in_turn >= options.most_failures) {
        if (!all.ended) all.ended = result.failure;
        ended = true;
        if (kind != FailureKind::kStopped)
          client.cancel();  // a budget lets calls come to their end
      }
      if (kind == FailureKind::kStopped) return;
    } else {
      failed_in_turn = 0;
    }
    all.results[task][row] = std::move(result);
    ++done;
    if (progress) progress(done, total);
  };
  share_work(total, worker_count(static_cast<int>(options.concurrency), total), body);
  if (!all.ended && client.stopped()) all.ended = interruption();
  return all;
}

}  // namespace detente::annotate

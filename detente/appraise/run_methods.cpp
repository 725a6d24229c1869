// SPDX-License-Identifier: Apache-2.0
// in_run, tracin, loss: by the run itself.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/appraise/appraise.h>
#include <detente/appraise/judged.h>
#include <detente/appraise/row_losses.h>
#include <detente/autograd/passes.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/nn/parameters.h>
#include <detente/train/schedule.h>
#include <detente/train/snapshot.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace detente::appraise {

Appraisal in_run(const Subject& subject, const Options& /*options*/) {
  const train::RunDirectory& run = subject.run.run;
  DETENTE_CHECK(
      std::filesystem::exists(run.values()),
      ErrorCode::kInvalidArgument,
      "[appraise] the run in '{}' has no values: in_run looks on while a model is trained. "
      "Give the recipe in place of the run (`detente value {} --method in_run`), or train "
      "with --set valuation.method=in_run.",
      run.root.string(),
      run.recipe().string());
  Appraisal result{.table = valuation::read_values(run.values().string())};
  result.table.method = "in_run";
  if (std::filesystem::exists(run.summary())) {
    const Json summary = Json::parse(read_file(run.summary()));
    if (summary.contains("valuation")) result.audit = summary["valuation"];
  }
  return result;
}

namespace {

// Per task the squared length of the gradient of the row's loss, NaN without a target; one way through
// the network, and a pass for each task.
std::vector<double> squared_lengths(const Judged& judged,
                                    const data::Source& source,
                                    std::size_t row,
                                    const TensorList& parameters) {
  std::vector<double> lengths;
  for (const at::Tensor& loss : judged.judge.losses().of_rows(source, {row}).values) {
    lengths.push_back(loss.defined() ? autograd::squared_norm(autograd::weighted_gradients(
                                           {loss}, {1.0}, parameters, true))
                                     : std::nan(""));
  }
  return lengths;
}

// Products [M, K, rows] over the lengths of both gradients; 0 where one of them is 0 or absent.
void make_cosines(const Judged& judged,
                  const data::Source& source,
                  const data::RowList& rows,
                  const TensorList& parameters,
                  const std::vector<TensorList>& directions,
                  at::Tensor& products) {
  std::vector<double> judges;
  for (const auto& direction : directions) {
    judges.push_back(std::sqrt(autograd::squared_norm(direction)));
  }
  auto product = products.accessor<double, 3>();
  for (std::int64_t i = 0; i < products.size(2); ++i) {
    const std::vector<double> squares =
        squared_lengths(judged, source, rows[static_cast<std::size_t>(i)], parameters);
    for (std::int64_t k = 0; k < products.size(1); ++k) {
      const double own = std::sqrt(squares[static_cast<std::size_t>(k)]);
      for (std::int64_t m = 0; m < products.size(0); ++m) {
        const double lengths = own * judges[static_cast<std::size_t>(m)];
        product[m][k][i] = lengths > 0 ? product[m][k][i] / lengths : 0.0;
      }
    }
  }
}

}  // namespace

// Σ over snapshots of η ⟨∇ℓ_i, v_m⟩, or the mean of the cosines.
Appraisal tracin(const Subject& subject, const Options& options) {
  check_options(options);
  Judged judged(subject, options);
  const auto paths = train::snapshot_paths(subject.run.run.root);
  DETENTE_CHECK(
      !paths.empty(),
      ErrorCode::kInvalidArgument,
      "[appraise] the run in '{}' has no snapshots, which tracin looks at. Train with --set "
      "train.keep=all.",
      subject.run.run.root.string());
  const TensorList parameters = judged.parameters();
  const auto trained = static_cast<std::int64_t>(judged.recipe.tasks.size());
  // With itself an example is judged by its own task.
  const auto judges =
      options.self ? std::int64_t{1} : static_cast<std::int64_t>(judged.judge.tasks().size());
  at::Tensor sum = at::zeros({trained, judges, judged.n}, at::TensorOptions(at::kDouble));
  at::Tensor squares = at::zeros_like(sum);
  const auto total = static_cast<std::size_t>(judged.n) * paths.size();
  std::vector<std::int64_t> steps;
  std::size_t done = 0;
  std::int64_t whole = 0;  // steps
  for (const auto& path : paths) {
    const train::Snapshot snapshot = train::read_snapshot(path);
    steps.push_back(snapshot.state.step);
    judged.model.load_state(nn::without_prefix(snapshot.tensors, "model."));
    // The newest comes first.
    if (whole == 0) whole = std::max<std::int64_t>(snapshot.state.step, 1);
    const double rate =
        judged.recipe.optimizer.lr *
        train::schedule_factor(
            judged.recipe.schedule, std::max<std::int64_t>(snapshot.state.step - 1, 0), whole);
    if (options.self) {
      for (std::int64_t i = 0; i < judged.n; ++i) {
        const std::vector<double> lengths =
            squared_lengths(judged, *subject.corpus.train, static_cast<std::size_t>(i), parameters);
        for (std::int64_t k = 0; k < trained; ++k) {
          const double own = -rate * lengths[static_cast<std::size_t>(k)];
          sum[k][0][i] += own;
          squares[k][0][i] += own * own;
        }
        ++done;
        if (options.progress && !options.progress(done, total)) break;
      }
      continue;
    }
    const std::vector<TensorList> directions = judged.judge.gradients(parameters);
    judged.each_batch([&](const data::RowList& rows) {
      at::Tensor own = own_products(judged, *subject.corpus.train, rows, parameters, directions);
      if (options.cosine) {
        make_cosines(judged, *subject.corpus.train, rows, parameters, directions, own);
        own.div_(static_cast<double>(paths.size()));
      } else {
        own.mul_(rate);
      }
      own = own.transpose(0, 1);
      const auto begin = static_cast<std::int64_t>(rows.front());
      sum.narrow(2, begin, own.size(2)).add_(own);
      squares.narrow(2, begin, own.size(2)).add_(own.square());
      done += rows.size();
      return !options.progress || options.progress(done, total);
    });
  }
  const auto t = static_cast<double>(paths.size());
  Appraisal result{.table = {.method = "tracin", .ids = valuation::all_ids(judged.n)}};
  const at::Tensor spread = (squares - sum.square() / t).clamp_min(0);
  const at::Tensor errors =
      t > 1 ? (spread * (t / (t - 1))).sqrt() : at::full_like(sum, std::nan(""));
  for (std::int64_t k = 0; k < trained; ++k) {
    for (std::int64_t m = 0; m < judges; ++m) {
      const auto task = options.self ? static_cast<std::size_t>(k)
                                     : judged.judge.tasks()[static_cast<std::size_t>(m)];
      const auto numbers = [&](const at::Tensor& of) {
        const at::Tensor row = of[k][m].contiguous();
        const double* first = row.data_ptr<double>();
        return std::vector<double>(first, first + judged.n);
      };
      result.table.series.push_back(
          {judged.recipe.tasks[static_cast<std::size_t>(k)].name,
           judged.recipe.tasks[task].name,
           valuation::kAll,
           numbers(sum),
           numbers(errors),
           std::vector<std::int64_t>(static_cast<std::size_t>(judged.n),
                                     static_cast<std::int64_t>(paths.size()))});
    }
  }
  result.notes.push_back(
      fmt::format("{} {} (after {} {}), {}.",
                  paths.size(),
                  paths.size() == 1 ? "snapshot" : "snapshots",
                  steps.size() > 1 ? "steps" : "step",
                  steps.size() > 1 ? fmt::format("{} to {}", steps.back(), steps.front())
                                   : std::to_string(steps.front()),
                  options.cosine ? "which count alike: values are mean cosines, from -1 to 1"
                                 : "each with the learning rate of its step"));
  return result;
}

Appraisal loss(const Subject& subject, const Options& options) {
  Judged judged(subject, options);
  Appraisal result{.table = {.method = "loss", .ids = valuation::all_ids(judged.n)}};
  std::vector<std::vector<double>> values(judged.recipe.tasks.size());
  judged.each_batch([&](const data::RowList& rows) {
    const auto losses =
        row_losses(judged.judge.losses(), judged.model, *subject.corpus.train, rows);
    for (std::size_t k = 0; k < values.size(); ++k) {
      for (const double own : losses[k]) values[k].push_back(-own);
    }
    return !options.progress ||
           options.progress(rows.back() + 1, static_cast<std::size_t>(judged.n));
  });
  for (std::size_t k = 0; k < values.size(); ++k) {
    values[k].resize(static_cast<std::size_t>(judged.n), std::nan(""));
    const std::string& name = judged.recipe.tasks[k].name;
    result.table.series.push_back({name, name, valuation::kAll, std::move(values[k])});
  }
  result.notes.push_back(
      "loss is no value of the example to anyone; other methods should find bad labels better than "
      "it "
      "does, or there is no need of them.");
  return result;
}

}  // namespace detente::appraise

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/distill/mutual.h>
#include <detente/train/adamw.h>
#include <detente/train/initial_model.h>
#include <detente/train/label_losses.h>
#include <detente/train/mutual_objective.h>
#include <detente/train/schedule.h>
#include <torch/types.h>

#include <optional>
#include <utility>

namespace detente::train {
namespace {

// Far from the step's own parts.
constexpr std::uint64_t kFirstPeerStream = std::uint64_t{1} << 36;

constexpr const char* kModelPrefix = "model.";
constexpr const char* kOptimizerPrefix = "optimizer.";
constexpr const char* kSteps = "steps";

std::string peer_prefix(std::size_t peer) { return "peer" + std::to_string(peer + 2) + "."; }

class MutualLosses final : public LossSource {
 public:
  MutualLosses(const MutualRecipe& options, const LossContext& context)
      : options_(options), context_(context), labels_(context) {
    for (std::int64_t p = 1; p < options.peers; ++p) {
      // Peers that began alike would have nothing to teach each other.
      Recipe other = context.recipe;
      other.seed =
          static_cast<std::int64_t>(Rng(static_cast<std::uint64_t>(other.seed))
                                        .fork(kFirstPeerStream + static_cast<std::uint64_t>(p))() >>
                                    12);
      Peer& peer = peers_.emplace_back();
      peer.model = make_model(other, *context.corpus.train);
      start_from_data(other, *context.corpus.train, *peer.model);
      peer.model->to(context.device, context.dtype);
      NamedTensors parameters = peer.model->named_shared_parameters();
      std::vector<double> rates = peer.model->shared_learning_rates();
      for (std::size_t k = 0; k < peer.model->heads().size(); ++k) {
        for (auto& named : peer.model->named_head_parameters(k)) {
          parameters.push_back(std::move(named));
        }
      }
      for (const auto& [name, tensor] : parameters) peer.parameters.push_back(tensor);
      peer.optimizer.emplace(parameters, context.recipe.optimizer, rates);
      peer.losses.emplace(
          LossContext{context.recipe, context.corpus, *peer.model, context.device, context.dtype});
    }
  }

  std::vector<std::string> tasks() const override { return labels_.tasks(); }
  NamedTensors own_parameters(std::size_t task) const override {
    return labels_.own_parameters(task);
  }

  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override {
    const Answers own = answers_of(labels_, rows, draws);
    std::vector<Answers> others;
    {
      const torch::NoGradGuard no_grad;
      for (std::size_t p = 0; p < peers_.size(); ++p) {
        others.push_back(answers_of(*peers_[p].losses, rows, peer_draws(draws, p)));
      }
    }
    if (draws.makes_step) {
      if (batch_step_ != draws.step) parts_.clear();
      batch_step_ = draws.step;
      parts_.push_back({rows, draws, {}});
      if (simultaneous()) {
        parts_.back().answers.push_back(constants(own));
        for (const Answers& other : others) parts_.back().answers.push_back(constants(other));
      }
    }
    TaskLosses losses = own.losses;
    for (std::size_t k = 0; k < losses.values.size(); ++k) {
      std::vector<at::Tensor> logits;
      for (const Answers& other : others) logits.push_back(other.logits[k]);
      losses.values[k] = together(losses.values[k], losses.rows[k], own.logits[k], logits);
    }
    return losses;
  }

  void after_step(std::int64_t step) override {
    const double factor = schedule_factor(context_.recipe.schedule, step - 1, context_.total_steps);
    const double decay = decay_course(context_.recipe.optimizer, step - 1, context_.total_steps);
    numbers_.clear();
    for (std::size_t p = 0; p < peers_.size(); ++p) {
      const double loss = gradients_of(p);
      peers_[p].optimizer->step(factor, decay);
      numbers_.emplace_back(peer_prefix(p) + "loss", loss);
    }
    parts_.clear();
  }

  report::NamedNumbers numbers() const override { return numbers_; }

  NamedTensors state() const override {
    NamedTensors all;
    for (std::size_t p = 0; p < peers_.size(); ++p) {
      NamedTensors own = nn::with_prefix(peers_[p].model->state(), kModelPrefix);
      for (auto& named : nn::with_prefix(peers_[p].optimizer->state(), kOptimizerPrefix)) {
        own.push_back(std::move(named));
      }
      own.emplace_back(kSteps, torch::tensor({peers_[p].optimizer->steps()}, torch::kInt64));
      for (auto& named : nn::with_prefix(own, peer_prefix(p))) all.push_back(std::move(named));
    }
    return all;
  }

  void load_state(const NamedTensors& state) override {
    std::size_t taken = 0;
    for (std::size_t p = 0; p < peers_.size(); ++p) {
      const NamedTensors own = nn::without_prefix(state, peer_prefix(p));
      taken += own.size();
      const NamedTensors steps = nn::without_prefix(own, kSteps);
      DETENTE_CHECK(steps.size() == 1,
                    ErrorCode::kData,
                    "[train::mutual] the snapshot has no peer {}; it is of a run with fewer.",
                    p + 2);
      peers_[p].model->load_state(nn::without_prefix(own, kModelPrefix));
      peers_[p].optimizer->load_state(nn::without_prefix(own, kOptimizerPrefix),
                                      steps[0].second.item<std::int64_t>());
    }
    DETENTE_CHECK(taken == state.size(),
                  ErrorCode::kData,
                  "[train::mutual] the snapshot has more than {} peers; it is of another run.",
                  peers_.size() + 1);
  }

 private:
  struct Peer {
    std::unique_ptr<nn::Model> model;
    TensorList parameters;
    std::optional<AdamW> optimizer;
    std::optional<LabelLosses> losses;
  };

  // Of one model on one batch.
  struct Answers {
    TaskLosses losses;
    TensorList logits;
  };

  // A part of the batch, for the peers' turn after the step.
  struct Part {
    data::RowList rows;
    StepDraws draws;
    std::vector<TensorList> answers;  // simultaneous: of each peer from before the step
  };

  bool simultaneous() const { return options_.update == MutualRecipe::Update::kSimultaneous; }

  static StepDraws peer_draws(StepDraws draws, std::size_t peer) {
    draws.rng = draws.rng.fork(kFirstPeerStream + peer);
    return draws;
  }

  static TensorList constants(const Answers& answers) {
    TensorList all;
    for (const at::Tensor& logits : answers.logits) all.push_back(logits.detach());
    return all;
  }

  static Answers answers_of(LabelLosses& losses,
                            const data::RowList& rows,
                            const StepDraws& draws) {
    Answers answers;
    answers.losses = losses(rows, draws);
    answers.logits = std::exchange(answers.losses.predictions, {});
    return answers;
  }

  at::Tensor together(const at::Tensor& label_loss,
                      double& rows,
                      const at::Tensor& own,
                      const std::vector<at::Tensor>& others) const {
    // Rows without a label have others' answers all the same; their share is that of the batch.
    const at::Tensor mutual = distill::mutual_term(own, others);
    rows = static_cast<double>(own.size(0));
    return label_loss.defined() ? label_loss + mutual : mutual;
  }

  // The gradients of the p-th other peer on the batch of the step, over all processes. Its loss.
  double gradients_of(std::size_t p) {
    Peer& peer = peers_[p];
    for (at::Tensor& parameter : peer.parameters) parameter.mutable_grad().reset();
    double rows[] = {0, 0};
    for (const Part& part : parts_) rows[0] += static_cast<double>(part.rows.size());
    const double here = rows[0];
    context_.group->sum(rows);
    double loss = 0;
    for (const Part& part : parts_) {
      Answers own = answers_of(*peer.losses, part.rows, peer_draws(part.draws, p));
      std::vector<TensorList> others;
      for (std::size_t other = 0; other <= peers_.size(); ++other) {
        if (other == p + 1) continue;
        others.push_back(simultaneous() ? part.answers[other] : now(other, part));
      }
      at::Tensor sum;
      for (std::size_t k = 0; k < own.logits.size(); ++k) {
        std::vector<at::Tensor> logits;
        for (const TensorList& other : others) logits.push_back(other[k]);
        const at::Tensor one =
            together(own.losses.values[k], own.losses.rows[k], own.logits[k], logits);
        sum = sum.defined() ? sum + one : one;
      }
      sum = sum * (static_cast<double>(part.rows.size()) / rows[0]);
      loss += sum.item<double>();
      sum.backward();
    }
    if (context_.group->size() > 1) sum_gradients(peer, here > 0);
    rows[1] = loss;
    context_.group->sum(std::span<double>(rows + 1, 1));
    return rows[1];
  }

  void sum_gradients(Peer& peer, bool any) {
    const torch::NoGradGuard no_grad;
    TensorList gradients;
    for (at::Tensor& parameter : peer.parameters) {
      if (!any || !parameter.grad().defined()) {
        parameter.mutable_grad() = torch::zeros_like(parameter.detach());
      } else if (parameter.grad().is_sparse()) {
        parameter.mutable_grad() = parameter.grad().to_dense();
      }
      gradients.push_back(parameter.grad());
    }
    tensor::sum_all(*context_.group, gradients);
  }

  // The answers of a peer as it is now; 0 is the run's model.
  TensorList now(std::size_t peer, const Part& part) {
    const torch::NoGradGuard no_grad;
    return peer == 0 ? constants(answers_of(labels_, part.rows, part.draws))
                     : constants(answers_of(
                           *peers_[peer - 1].losses, part.rows, peer_draws(part.draws, peer - 1)));
  }

  MutualRecipe options_;
  LossContext context_;
  LabelLosses labels_;
  std::vector<Peer> peers_;
  std::vector<Part> parts_;
  std::int64_t batch_step_ = -1;
  report::NamedNumbers numbers_;
};

}  // namespace

void MutualObjective::describe(FieldVisitor& train) {
  train.section("mutual", "Peers that learn from each other.", [this](FieldVisitor& s) {
    s.integer(
        "peers", options_.peers, {.min = 2, .max = 100}, "Models, the run's own one of them.");
    s.choice("update",
             options_.update,
             {{"sequential", MutualRecipe::Update::kSequential},
              {"simultaneous", MutualRecipe::Update::kSimultaneous}},
             "sequential: each learns from what the others answer after those before it have "
             "moved. simultaneous: from what all answered before the step.");
  });
}

void MutualObjective::check(const Recipe& recipe, const std::string& where) const {
  for (const TaskRecipe& task : recipe.tasks) {
    DETENTE_CHECK(task.head.kind == TaskKind::kClasses,
                  ErrorCode::kInvalidArgument,
                  "{}: 'train.objective: mutual' compares probabilities of classes; task '{}' has "
                  "a {} head. Expected tasks of classes alone.",
                  where,
                  task.name,
                  name_of(task.head.kind));
  }
  DETENTE_CHECK(recipe.distill.empty(),
                ErrorCode::kInvalidArgument,
                "{}: 'train.objective: mutual' and tasks of the kind distill do not go together; "
                "leave '{}' out.",
                where,
                recipe.distill.empty() ? "" : recipe.distill.front().name);
}

std::unique_ptr<LossSource> MutualObjective::losses(const LossContext& context) const {
  for (const data::Target& target : context.corpus.train->targets()) {
    // The mean over the labelled rows and that over all have other shares in a part of a batch.
    DETENTE_CHECK(target.missing == 0,
                  ErrorCode::kData,
                  "[train::mutual] {} training rows have no label of task '{}'; mutual learning "
                  "needs all. Leave these rows out, or use a task of the kind distill.",
                  target.missing,
                  target.task);
  }
  return std::make_unique<MutualLosses>(options_, context);
}

}  // namespace detente::train

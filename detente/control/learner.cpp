// SPDX-License-Identifier: Apache-2.0
#include <detente/control/learner.h>
#include <detente/train/method_list.h>

#include <algorithm>
#include <utility>

namespace detente::control {
namespace {

TensorList pick(const nn::Parameters& parameters, const std::vector<std::string>& names) {
  TensorList tensors;
  for (const std::string& name : names) tensors.push_back(parameters(name));
  return tensors;
}

void append(NamedTensors& all, const std::string& prefix, const NamedTensors& part) {
  for (auto& named : nn::with_prefix(part, prefix)) all.push_back(std::move(named));
}

}  // namespace

Learner::Learner(nn::Parameters parameters,
                 const Sharing& sharing,
                 std::shared_ptr<balance::Method> method,
                 std::vector<std::string> tasks,
                 const engine::MultiTaskOptions& options,
                 double lr,
                 tensor::Device device)
    : parameters_(std::move(parameters)), method_(std::move(method)) {
  parameters_.to(device, tensor::DType::kFloat32);
  std::vector<TensorList> own;
  for (const auto& names : sharing.own) own.push_back(pick(parameters_, names));
  backward_ = std::make_unique<engine::MultiTaskBackward>(
      pick(parameters_, sharing.shared), own, method_, std::move(tasks), options);
  train::AdamWOptions settings;
  settings.lr = lr;
  settings.weight_decay = 0;
  adam_ = std::make_unique<train::AdamW>(parameters_.trained(), settings);
}

const engine::StepReport& Learner::step(const TensorList& losses,
                                        const std::vector<std::int64_t>& examples,
                                        Rng& rng) {
  const engine::StepReport& report =
      (*backward_)(engine::StepInput{.losses = losses, .examples = examples}, rng);
  adam_->step(1.0);
  return report;
}

NamedTensors Learner::tensors() const {
  NamedTensors all;
  append(all, "network.", parameters_.trained());
  append(all, "adam.", adam_->state());
  append(all, "method.", train::methods_tensors({method_}));
  return all;
}

Json Learner::state() const {
  return {{"method", train::methods_state({method_})},
          {"engine", backward_->state()},
          {"adam_steps", adam_->steps()}};
}

void Learner::load(const NamedTensors& tensors, const Json& state) {
  nn::load_named(nn::without_prefix(tensors, "network."), parameters_.trained());
  adam_->load_state(nn::without_prefix(tensors, "adam."),
                    state.at("adam_steps").get<std::int64_t>());
  train::load_methods_state({method_}, state.at("method"));
  train::load_methods_tensors({method_}, nn::without_prefix(tensors, "method."));
  backward_->load_state(state.at("engine"));
}

}  // namespace detente::control

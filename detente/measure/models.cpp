// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/measure/map_model.h>
#include <detente/measure/models.h>
#include <detente/nn/resnet.h>
#include <torch/nn/modules.h>
#include <torch/utils.h>

#include <memory>

namespace detente::measure {
namespace {

namespace nn = torch::nn;
using at::Tensor;

using Forward = std::function<Tensor(const Tensor&)>;

// What every model has in common: a trunk on the joint batch, one linear head per task, squared
// errors.
struct Parts {
  TensorList shared;
  TensorList buffers;  // running statistics
  Forward trunk;
  Tensor input;        // of the joint batch
  std::int64_t width;  // of the features
  std::int64_t out;    // numbers per head
};

// In place, because the layers hold the same tensors.
void move(const TensorList& tensors, const at::TensorOptions& place) {
  for (const Tensor& tensor : tensors) tensor.set_data(tensor.to(place.device()));
}

BenchmarkModel assemble(
    Parts parts, bool multi, std::int64_t tasks, std::int64_t batch, tensor::Device device) {
  const at::TensorOptions place = tensor::tensor_options(device, tensor::DType::kFloat32);
  move(parts.shared, place);
  move(parts.buffers, place);
  BenchmarkModel model;
  model.shared = parts.shared;
  std::vector<nn::Linear> heads;
  for (std::int64_t k = 0; k < tasks; ++k) {
    heads.emplace_back(parts.width, parts.out);
    model.own.push_back(heads.back()->parameters());
    move(model.own.back(), place);
  }
  const Tensor target = at::randn({tasks, batch, parts.out});
  move({parts.input, target}, place);
  model.losses = [parts, heads, target, multi, tasks, batch](std::int64_t rows) mutable {
    const std::int64_t n = rows > 0 ? std::min(rows, batch) : batch;
    Tensor input = parts.input;
    if (n < batch) {
      input = multi ? input.unflatten(0, {tasks, batch}).narrow(1, 0, n).flatten(0, 1)
                    : input.narrow(0, 0, n);
    }
    const Tensor z = parts.trunk(input);
    TensorList own(static_cast<std::size_t>(tasks), z);
    if (multi) own = z.split(n);
    TensorList losses;
    for (std::int64_t k = 0; k < tasks; ++k) {
      const auto i = static_cast<std::size_t>(k);
      losses.push_back(at::mse_loss(heads[i]->forward(own[i]), target[k].narrow(0, 0, n)));
    }
    return losses;
  };
  return model;
}

Parts mlp(std::int64_t rows) {
  nn::Sequential net(nn::Linear(39, 400),
                     nn::ReLU(),
                     nn::Linear(400, 400),
                     nn::ReLU(),
                     nn::Linear(400, 400),
                     nn::ReLU());
  return {.shared = net->parameters(),
          .trunk = [net](const Tensor& x) mutable { return net->forward(x); },
          .input = at::randn({rows, 39}),
          .width = 400,
          .out = 4};
}

// nn/resnet.h without a source of images.
Parts resnet18(std::int64_t rows, std::int64_t size, bool groups, std::uint64_t seed) {
  const detente::nn::ResNetOptions options{.norm = groups ? detente::nn::ImageNorm::kGroup
                                                          : detente::nn::ImageNorm::kBatch};
  const auto parameters = std::make_shared<detente::nn::Parameters>();
  Rng rng(seed);
  detente::nn::Draw draw(rng);
  detente::nn::add_resnet(*parameters, draw, options);
  Parts parts;
  parts.shared = parameters->trained_tensors();
  for (const auto& [name, tensor] : parameters->fixed()) parts.buffers.push_back(tensor);
  parts.trunk = [parameters, options](const Tensor& x) {
    return detente::nn::resnet(*parameters, x, options, detente::nn::BatchStatistics::kMove);
  };
  parts.input = at::randn({rows, options.channels, size, size});
  parts.width = detente::nn::resnet_width(options);
  parts.out = 10;
  return parts;
}

// Pre-norm, batch first.
Forward encoder_layer(std::int64_t width,
                      std::int64_t heads,
                      std::int64_t hidden,
                      TensorList& parameters) {
  nn::LayerNorm first(nn::LayerNormOptions({width}));
  nn::Linear qkv(width, 3 * width);
  nn::Linear out(width, width);
  nn::LayerNorm second(nn::LayerNormOptions({width}));
  nn::Linear up(width, hidden);
  nn::Linear down(hidden, width);
  for (const nn::Module* module : std::initializer_list<const nn::Module*>{
           first.get(), qkv.get(), out.get(), second.get(), up.get(), down.get()}) {
    for (const auto& parameter : module->parameters()) parameters.push_back(parameter);
  }
  return [=](const Tensor& x) mutable {
    const auto split = [&](const Tensor& t) {
      return t.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
    };
    const auto parts = qkv->forward(first->forward(x)).chunk(3, -1);
    const Tensor q = split(parts[0]);
    const Tensor scores =
        q.matmul(split(parts[1]).transpose(-2, -1)) / std::sqrt(static_cast<double>(q.size(-1)));
    const Tensor mixed = scores.softmax(-1).matmul(split(parts[2])).transpose(1, 2).flatten(2);
    const Tensor y = x + out->forward(mixed);
    return y + down->forward(at::gelu(up->forward(second->forward(y))));
  };
}

Parts transformer(std::int64_t rows) {
  Parts parts;
  std::vector<Forward> layers;
  for (int i = 0; i < 4; ++i) layers.push_back(encoder_layer(256, 4, 1024, parts.shared));
  parts.trunk = [layers](const Tensor& x) {
    Tensor y = x;
    for (const Forward& layer : layers) y = layer(y);
    return y.mean(1);
  };
  parts.input = at::randn({rows, 64, 256});
  parts.width = 256;
  parts.out = 1;
  return parts;
}

Parts siamese(std::int64_t rows) {
  constexpr std::int64_t kTokens = 32000;
  constexpr std::int64_t kLength = 24;
  Parts parts;
  nn::Embedding table(nn::EmbeddingOptions(kTokens, 64).padding_idx(0));
  nn::Linear joined(4 * 64, 64);
  parts.shared = table->parameters();
  const Forward layer = encoder_layer(64, 4, 128, parts.shared);
  for (const auto& parameter : joined->parameters()) parts.shared.push_back(parameter);
  parts.trunk = [table, joined, layer](const Tensor& pairs) mutable {
    // Both sentences in one batch.
    const std::int64_t n = pairs.size(0);
    const Tensor both = layer(table->forward(pairs.transpose(0, 1).reshape({2 * n, -1}))).mean(1);
    const Tensor u = both.narrow(0, 0, n);
    const Tensor v = both.narrow(0, n, n);
    return at::gelu(joined->forward(at::cat({u, v, (u - v).abs(), u * v}, 1)));
  };
  parts.input = at::randint(1, kTokens, {rows, 2, kLength}, at::kLong);
  parts.width = 64;
  parts.out = 1;
  return parts;
}

}  // namespace

std::vector<std::string> model_names() {
  return {"mlp", "cnn", "transformer", "siamese", "segnet_mtan"};
}

BenchmarkModel make_model(const std::string& name,
                          bool multi,
                          std::int64_t tasks,
                          std::int64_t batch,
                          std::uint64_t seed,
                          tensor::Device device,
                          double scale) {
  const auto names = model_names();
  DETENTE_CHECK(std::find(names.begin(), names.end(), name) != names.end(),
                ErrorCode::kInvalidArgument,
                "[measure::make_model] '{}' is no model; {}",
                name,
                expected_one_of(name, names));
  DETENTE_CHECK(tasks >= 1 && batch >= 1,
                ErrorCode::kInvalidArgument,
                "[measure::make_model] expected at least one task and one example, got {} and {}.",
                tasks,
                batch);
  DETENTE_CHECK((name != "siamese" && name != "segnet_mtan") || !multi,
                ErrorCode::kInvalidArgument,
                "[measure::make_model] the model {} has one batch for all tasks. Use --input "
                "single.",
                name);
  if (name == "segnet_mtan") return make_map_model(tasks, batch, scale, seed, device);
  torch::manual_seed(static_cast<std::int64_t>(seed));
  const std::int64_t rows = multi ? tasks * batch : batch;
  Parts parts = name == "mlp"           ? mlp(rows)
                : name == "cnn"         ? resnet18(rows, multi ? 32 : 64, multi, seed)
                : name == "transformer" ? transformer(rows)
                                        : siamese(rows);
  return assemble(std::move(parts), multi, tasks, batch, device);
}

}  // namespace detente::measure

// SPDX-License-Identifier: Apache-2.0
// Small trunks of many kinds of layers.
#pragma once

#include <detente/tensor/fwd.h>
#include <torch/torch.h>

#include <functional>
#include <memory>
#include <vector>

namespace detente::zoo {

// A trunk: parameters and a function from the batch to features [B, F].
struct Trunk {
  TensorList parameters;
  at::Tensor input;
  std::function<at::Tensor(const at::Tensor&)> forward;
  std::shared_ptr<torch::nn::Module> keep;  // owner of the layers
};

constexpr std::int64_t kBatch = 9;

inline at::Tensor in_full(const at::Tensor& gradient) {
  return gradient.is_sparse() ? gradient.to_dense() : gradient;
}

struct Zoo {
  const char* name;
  Trunk (*make)(torch::Dtype);
  bool segmentable = true;  // completely, without a notice
  bool derivative = true;   // no hook changes what the gradients are
};

inline Trunk from_module(torch::nn::Sequential net, const at::Tensor& input) {
  net->to(input.is_floating_point() ? input.scalar_type() : torch::kDouble);
  Trunk trunk;
  trunk.parameters = net->parameters();
  trunk.input = input;
  trunk.keep = net.ptr();
  trunk.forward = [net](const at::Tensor& x) mutable { return net->forward(x).flatten(1); };
  return trunk;
}

inline at::Tensor batch_of(std::vector<std::int64_t> shape, torch::Dtype dtype) {
  shape.insert(shape.begin(), kBatch);
  return torch::randn(shape, torch::kDouble).to(dtype);
}

namespace nn = torch::nn;

inline Trunk make_mlp(torch::Dtype dtype) {
  return from_module(nn::Sequential(nn::Linear(5, 8),
                                    nn::ReLU(nn::ReLUOptions(/*inplace=*/true)),
                                    nn::Linear(nn::LinearOptions(8, 8).bias(false)),
                                    nn::Tanh(),
                                    nn::Linear(8, 6)),
                     batch_of({5}, dtype));
}

inline Trunk make_wide_rows(torch::Dtype dtype) {  // Linear and LayerNorm on [B, T, D]
  return from_module(nn::Sequential(nn::Linear(5, 8),
                                    nn::GELU(),
                                    nn::LayerNorm(nn::LayerNormOptions({8})),
                                    nn::Linear(nn::LinearOptions(8, 4).bias(false)),
                                    nn::Dropout(0.3)),
                     batch_of({3, 5}, dtype));
}

inline Trunk make_convnet(torch::Dtype dtype) {
  return from_module(
      nn::Sequential(nn::Conv2d(nn::Conv2dOptions(3, 4, 3).stride(2).padding(1)),
                     nn::GroupNorm(nn::GroupNormOptions(2, 4)),
                     nn::ReLU(),
                     nn::Conv2d(nn::Conv2dOptions(4, 8, 3).groups(2).padding(2).dilation(2)),
                     nn::LeakyReLU(),
                     nn::MaxPool2d(nn::MaxPool2dOptions(2)),
                     // So few positions that the unfolded product is taken.
                     nn::Conv2d(nn::Conv2dOptions(8, 40, 3).padding(1).bias(false)),
                     nn::SiLU(),
                     nn::AdaptiveAvgPool2d(nn::AdaptiveAvgPool2dOptions({1, 1}))),
      batch_of({3, 8, 8}, dtype));
}

// Strides, padding and dilation as one number for both dimensions, which the graph keeps as one.
inline Trunk make_one_number_convolutions(torch::Dtype dtype) {
  Trunk trunk;
  for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{
           {4, 3, 3, 3}, {4}, {4, 5, 2, 2}, {5}, {40, 5, 3, 3}}) {
    trunk.parameters.push_back((0.3 * torch::randn(shape, torch::kDouble)).to(dtype));
    trunk.parameters.back().requires_grad_();
  }
  trunk.input = batch_of({3, 7, 7}, dtype);
  trunk.forward = [p = trunk.parameters](const at::Tensor& x) {
    const at::Tensor half = torch::tanh(at::conv2d(x, p[0], p[1], 2, 1));
    const at::Tensor whole = torch::tanh(at::conv_transpose2d(half, p[2], p[3], 2, 0));
    return at::conv2d(whole, p[4], {}, 4, 2, 2).flatten(2).sum(2);
  };
  return trunk;
}

inline Trunk make_conv1d(torch::Dtype dtype) {
  return from_module(nn::Sequential(nn::Conv1d(nn::Conv1dOptions(3, 4, 3).padding(1)),
                                    nn::Tanh(),
                                    nn::Conv1d(nn::Conv1dOptions(4, 5, 2).stride(2))),
                     batch_of({3, 8}, dtype));
}

inline Trunk make_conv3d(torch::Dtype dtype) {
  return from_module(nn::Sequential(nn::Conv3d(nn::Conv3dOptions(2, 3, 2)), nn::Sigmoid()),
                     batch_of({2, 4, 4, 4}, dtype));
}

// Decoders: strides, padding of both kinds, groups and dilation.
inline Trunk make_decoder1d(torch::Dtype dtype) {
  return from_module(
      nn::Sequential(
          nn::ConvTranspose1d(nn::ConvTranspose1dOptions(3, 4, 3).stride(2).padding(1)),
          nn::Tanh(),
          nn::ConvTranspose1d(nn::ConvTranspose1dOptions(4, 6, 2).groups(2).bias(false))),
      batch_of({3, 5}, dtype));
}

inline Trunk make_decoder2d(torch::Dtype dtype) {
  return from_module(
      nn::Sequential(
          nn::Conv2d(nn::Conv2dOptions(2, 4, 3).stride(2).padding(1)),
          nn::ReLU(),
          nn::ConvTranspose2d(
              nn::ConvTranspose2dOptions(4, 6, 3).stride(2).padding(1).output_padding(1).groups(2)),
          nn::GroupNorm(nn::GroupNormOptions(3, 6)),
          nn::SiLU(),
          nn::ConvTranspose2d(nn::ConvTranspose2dOptions(6, 2, 2).dilation(2))),
      batch_of({2, 6, 6}, dtype));
}

inline Trunk make_decoder3d(torch::Dtype dtype) {
  return from_module(
      nn::Sequential(nn::ConvTranspose3d(nn::ConvTranspose3dOptions(2, 3, 2).stride(2)),
                     nn::Sigmoid()),
      batch_of({2, 2, 2, 2}, dtype));
}

inline Trunk make_batch_norm_in_eval(torch::Dtype dtype) {
  nn::Sequential net(nn::Conv2d(nn::Conv2dOptions(3, 4, 3)), nn::BatchNorm2d(4), nn::ReLU());
  net->to(dtype);
  net->train();
  net->forward(batch_of({3, 6, 6}, dtype));  // statistics other than 0 and 1
  Trunk trunk = from_module(net, batch_of({3, 6, 6}, dtype));
  net->eval();
  return trunk;
}

inline Trunk make_batch_norm(torch::Dtype dtype) {
  return from_module(nn::Sequential(nn::Linear(5, 8), nn::BatchNorm1d(8), nn::Linear(8, 6)),
                     batch_of({5}, dtype));
}

inline Trunk make_table(torch::Dtype dtype, bool sparse) {
  auto table = std::make_shared<nn::EmbeddingImpl>(
      nn::EmbeddingOptions(40, 6).padding_idx(0).sparse(sparse));
  nn::Linear top(6, 5);
  table->to(dtype);
  top->to(dtype);
  Trunk trunk;
  trunk.parameters = {table->weight, top->weight, top->bias};
  trunk.input = torch::randint(0, 12, {kBatch, 7}, torch::kLong);
  trunk.forward = [table, top](const at::Tensor& ids) mutable {
    // The table serves twice, as in a siamese encoder.
    const auto u = table->forward(ids).mean(1);
    const auto v = table->forward(ids.flip(1).narrow(1, 0, 3)).sum(1);
    return torch::tanh(top->forward(u) * v.narrow(1, 0, 5));
  };
  return trunk;
}

inline Trunk make_embedding(torch::Dtype dtype) { return make_table(dtype, false); }
inline Trunk make_sparse_embedding(torch::Dtype dtype) { return make_table(dtype, true); }

// The library's own encoder: [T, B, D], so the batch is not the first dimension inside.
inline Trunk make_transformer(torch::Dtype dtype) {
  nn::TransformerEncoder encoder(nn::TransformerEncoderOptions(
      nn::TransformerEncoderLayer(
          nn::TransformerEncoderLayerOptions(8, 2).dim_feedforward(12).dropout(0.0)),
      2));
  encoder->to(dtype);
  auto position = torch::randn({4, 1, 8}, dtype).requires_grad_();
  Trunk trunk;
  trunk.parameters = encoder->parameters();
  trunk.parameters.push_back(position);
  trunk.input = batch_of({4, 8}, dtype);
  trunk.forward = [encoder, position](const at::Tensor& x) mutable {
    return encoder->forward(x.transpose(0, 1) + position).mean(0);
  };
  return trunk;
}

inline Trunk make_recurrent(torch::Dtype dtype) {  // one weight, six uses
  nn::Linear in(3, 8);
  nn::Linear hidden(8, 8);
  in->to(dtype);
  hidden->to(dtype);
  Trunk trunk;
  trunk.parameters = {in->weight, in->bias, hidden->weight, hidden->bias};
  trunk.input = batch_of({6, 3}, dtype);
  trunk.forward = [in, hidden](const at::Tensor& x) mutable {
    at::Tensor h = torch::zeros({x.size(0), 8}, x.options());
    for (std::int64_t t = 0; t < x.size(1); ++t) {
      h = torch::tanh(in->forward(x.select(1, t)) + hidden->forward(h));
    }
    return h;
  };
  return trunk;
}

inline Trunk make_rms_norm(torch::Dtype dtype) {
  auto weight = torch::randn({8, 5}, dtype).requires_grad_();
  auto plain = torch::randn({8, 8}, dtype).requires_grad_();  // x W, not x Wᵀ
  auto gain = torch::randn({8}, dtype).requires_grad_();
  auto shift = torch::randn({1, 8}, dtype).requires_grad_();
  Trunk trunk;
  trunk.parameters = {weight, plain, gain, shift};
  trunk.input = batch_of({5}, dtype);
  trunk.forward = [=](const at::Tensor& x) {
    const auto h = x.matmul(weight.t());
    const auto normed = h * (h.square().mean(1, true) + 1e-3).rsqrt() * gain;
    return shift + normed.matmul(plain);
  };
  return trunk;
}

// A product and a sum make a Linear layer, unless something else uses, watches or stretches what
// lies between.
inline Trunk make_products_and_sums(torch::Dtype dtype) {
  const auto parameter = [&](at::IntArrayRef shape) {
    return torch::randn(shape, dtype).requires_grad_();
  };
  TensorList w;
  TensorList b;
  for (const std::int64_t in : {5, 8, 8, 8, 8}) {
    w.push_back(parameter({in, 8}));
    b.push_back(parameter({8}));
  }
  w.push_back(parameter({8, 1}));
  b.push_back(parameter({6}));
  Trunk trunk;
  trunk.parameters = w;
  trunk.parameters.insert(trunk.parameters.end(), b.begin(), b.end());
  trunk.input = batch_of({3, 5}, dtype);
  trunk.forward = [=](const at::Tensor& x) {
    at::Tensor h = torch::tanh(x.matmul(w[0]) + b[0]);
    at::Tensor product = h.matmul(w[1]);
    if (product.requires_grad()) {
      product.register_hook([](const at::Tensor& gradient) { return 2 * gradient; });
    }
    h = torch::tanh(product + b[1]);
    product = h.matmul(w[2]);
    h = torch::tanh((product + b[2]) * product);
    h = torch::tanh(torch::add(h.matmul(w[3]), b[3], 2.0));
    h = torch::tanh(b[4] + h.matmul(w[4]));
    return (h.matmul(w[5]) + b[5]).mean(1);
  };
  return trunk;
}

inline Trunk make_lstm(torch::Dtype dtype) {
  nn::LSTM lstm(nn::LSTMOptions(3, 4).batch_first(true));
  nn::Linear top(4, 40);
  lstm->to(dtype);
  top->to(dtype);
  Trunk trunk;
  trunk.parameters = lstm->parameters();
  for (const auto& parameter : top->parameters()) trunk.parameters.push_back(parameter);
  trunk.input = batch_of({5, 3}, dtype);
  trunk.forward = [lstm, top](const at::Tensor& x) mutable {
    return torch::tanh(top->forward(std::get<0>(lstm->forward(x)).select(1, 4)));
  };
  return trunk;
}

inline TensorList parameters_of(const std::vector<std::vector<std::int64_t>>& shapes,
                                torch::Dtype dtype) {
  TensorList all;
  for (const auto& shape : shapes) {
    all.push_back((0.5 * torch::randn(shape, torch::kDouble)).to(dtype).requires_grad_());
  }
  return all;
}

// Trunks whose forward function is all there is to them.
inline Trunk from_function(
    TensorList parameters,
    const at::Tensor& input,
    std::function<at::Tensor(const at::Tensor&, const TensorList&)> forward) {
  return {.parameters = parameters,
          .input = input,
          .forward = [=](const at::Tensor& x) { return forward(x, parameters); },
          .keep = nullptr};
}

// Positions looked up without a batch, a class token, relative positions from a table.
inline Trunk make_positions(torch::Dtype dtype) {
  return from_function(
      parameters_of({{13, 6}, {6, 6}, {1, 1, 6}, {7, 1}, {6}}, dtype),
      torch::randint(0, 12, {kBatch, 3}, torch::kLong),
      [](const at::Tensor& ids, const TensorList& p) {
        const at::Tensor looked = torch::embedding(p[0], ids);
        const at::Tensor tokens = torch::cat({p[2].expand({looked.size(0), -1, -1}), looked}, 1) +
                                  torch::embedding(p[1], torch::arange(4).unsqueeze(0));
        const at::Tensor apart = torch::arange(4).unsqueeze(0) - torch::arange(4).unsqueeze(1) + 3;
        const at::Tensor relative = p[3].index({apart}).squeeze(2);
        const at::Tensor scores = tokens.bmm(tokens.transpose(1, 2)) + relative;
        const at::Tensor mixed = scores.softmax(2).bmm(tokens) * (1 + p[4]);
        return torch::tanh(mixed.select(1, 0));
      });
}

// Weights that are computed: normalised, low-rank beside a plain one, standardised filters, from a table
// that is the output layer as well.
inline Trunk make_computed_weights(torch::Dtype dtype) {
  return from_function(
      parameters_of({{8, 5}, {8, 1}, {8, 8}, {8, 2}, {2, 8}, {4, 2, 3}, {16, 16}, {3, 16}}, dtype),
      batch_of({5}, dtype),
      [](const at::Tensor& x, const TensorList& p) {
        const at::Tensor normed = p[0] * (p[1] / p[0].norm(2, {1}, true));
        at::Tensor h = torch::tanh(torch::linear(x, normed));
        h = torch::tanh(torch::linear(h, p[2] + p[3].mm(p[4])));
        const at::Tensor filters = p[5] - p[5].mean({1, 2}, true);
        h = torch::conv1d(h.view({-1, 2, 4}), filters, {}, 1, 1).flatten(1);
        // Used as it is, and in something computed.
        return torch::linear(torch::linear(h, p[6]), p[6].mul(2).t()) +
               torch::linear(x.slice(1, 0, 3), p[7].t());
      });
}

// Products with a dimension of heads, on either side, and what einsum makes of them.
inline Trunk make_grouped_products(torch::Dtype dtype) {
  return from_function(
      parameters_of({{5, 2, 4}, {2, 4, 3}, {3, 2, 3}, {2, 2, 4}}, dtype),
      batch_of({3, 5}, dtype),
      [](const at::Tensor& x, const TensorList& p) {
        const at::Tensor h = torch::tanh(torch::einsum("btd,dhe->bhte", {x, p[0]}));
        const at::Tensor rows = h.transpose(0, 1).reshape({2, -1, 4});
        const at::Tensor right = torch::tanh(rows.bmm(p[1]));
        const at::Tensor left = torch::tanh(p[3].bmm(rows.transpose(1, 2)));
        const auto back = [&](const at::Tensor& y) {
          return y.view({2, x.size(0), 3, -1}).transpose(0, 1).flatten(1);
        };
        const at::Tensor made =
            torch::einsum("hde,bhte->btd", {p[2].transpose(0, 1), back(right).view({-1, 2, 3, 3})});
        return torch::cat({made.flatten(1), back(left.transpose(1, 2)), back(right)}, 1);
      });
}

// Rows of tables by index, from the end as well.
inline Trunk make_indexed_tables(torch::Dtype dtype) {
  return from_function(parameters_of({{13, 6}, {13, 6}, {6, 5}}, dtype),
                       torch::randint(0, 12, {kBatch, 4}, torch::kLong),
                       [](const at::Tensor& ids, const TensorList& p) {
                         const at::Tensor a = p[0].index({ids - 13}).mean(1);
                         const at::Tensor b = p[1].index_select(0, ids.flatten()).view({-1, 4, 6});
                         return torch::tanh(a * b.amax(1)).matmul(p[2]);
                       });
}

// A table of embeddings that is the output layer as well.
inline Trunk make_tied(torch::Dtype dtype, std::int64_t padding) {
  return from_function(parameters_of({{13, 6}, {6, 6}}, dtype),
                       torch::randint(0, 12, {kBatch, 4}, torch::kLong),
                       [padding](const at::Tensor& ids, const TensorList& p) {
                         const at::Tensor h = torch::embedding(p[0], ids, padding).mean(1);
                         return torch::linear(torch::tanh(torch::linear(h, p[1])), p[0]);
                       });
}

inline Trunk make_tied_table(torch::Dtype dtype) { return make_tied(dtype, -1); }
inline Trunk make_padded_tied_table(torch::Dtype dtype) { return make_tied(dtype, 2); }

// Parameters in quotients, differences, choices and rectifiers.
inline Trunk make_odd_arithmetic(torch::Dtype dtype) {
  return from_function(
      parameters_of({{5}, {5}, {3, 1}, {}, {3}, {5}, {1, 3, 5}, {3, 5}, {5}, {2, 1, 3}}, dtype),
      batch_of({3, 5}, dtype),
      [](const at::Tensor& x, const TensorList& p) {
        at::Tensor h = p[0] - x / (2 + p[1].square());
        h = torch::where(x > 0, h, p[2]) * torch::exp(p[3]);
        h = torch::prelu(h.view({-1, 3, 5}), p[4]) - p[5];
        h = torch::where(x > -0.3, p[5], h) + 1 / p[5].square().add(1) / x.square().add(1);
        h = torch::maximum(h, p[7]) + torch::lerp(h, x, p[8]);
        h = h + p[6].repeat({x.size(0), 1, 1}) +
            p[9].repeat({2, 3, 2}).slice(0, 0, 3).sum(0).slice(1, 0, 5);
        return h.flatten(1) + p[0].repeat({x.size(0), 3});
      });
}

// A mean over the batch in one part of a split.
inline Trunk make_mixed_part(torch::Dtype dtype) {
  return from_function(parameters_of({{8, 5}}, dtype),
                       batch_of({5}, dtype),
                       [](const at::Tensor& x, const TensorList& p) {
                         const auto parts = torch::linear(x, p[0]).split(4, 1);
                         return parts[0] * torch::tanh(parts[1].mean(0, true));
                       });
}

inline const std::vector<Zoo>& models() {
  static const std::vector<Zoo> all = {{"mlp", make_mlp},
                                       {"wide_rows", make_wide_rows},
                                       {"convnet", make_convnet},
                                       {"one_number_convolutions", make_one_number_convolutions},
                                       {"conv1d", make_conv1d},
                                       {"conv3d", make_conv3d},
                                       {"decoder1d", make_decoder1d},
                                       {"decoder2d", make_decoder2d},
                                       {"decoder3d", make_decoder3d},
                                       {"batch_norm_in_eval", make_batch_norm_in_eval},
                                       {"batch_norm", make_batch_norm, false},
                                       {"embedding", make_embedding},
                                       {"sparse_embedding", make_sparse_embedding},
                                       {"transformer", make_transformer},
                                       {"recurrent", make_recurrent},
                                       {"rms_norm", make_rms_norm},
                                       {"products_and_sums", make_products_and_sums, true, false},
                                       {"positions", make_positions},
                                       {"computed_weights", make_computed_weights},
                                       {"grouped_products", make_grouped_products},
                                       {"indexed_tables", make_indexed_tables},
                                       {"tied_table", make_tied_table},
                                       {"padded_tied_table", make_padded_tied_table, true, false},
                                       {"odd_arithmetic", make_odd_arithmetic},
                                       {"mixed_part", make_mixed_part, false},
                                       {"lstm", make_lstm, false}};
  return all;
}

}  // namespace detente::zoo

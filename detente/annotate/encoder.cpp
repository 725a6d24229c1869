// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/answer.h>
#include <detente/annotate/encoder.h>
#include <detente/core/error.h>
#include <detente/core/fnv.h>
#include <detente/text/unicode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace detente::annotate {
namespace {

constexpr std::size_t kDimensions = 4096;
constexpr std::size_t kTextsPerCall = 32;
constexpr std::size_t kTextsPerPart = 16 * kTextsPerCall;  // whole calls

void scale_to_one(std::vector<double>& vector) {
  double largest = 0;
  for (const double value : vector) largest = std::max(largest, std::abs(value));
  if (largest == 0) return;
  double sum = 0;
  for (double& value : vector) {
    value /= largest;
    sum += value * value;
  }
  for (double& value : vector) value /= std::sqrt(sum);
}

}  // namespace

Vectors LexicalEncoder::encode(std::span<const std::string> texts, CallKey& /*first*/) {
  Vectors vectors;
  for (const std::string& text : texts) {
    std::vector<double> vector(kDimensions, 0.0);
    const std::vector<char32_t> codes = text::code_points(" " + normalized(text) + " ");
    for (std::size_t i = 0; codes.size() > 2 && i + 3 <= codes.size(); ++i) {
      std::string triple;
      for (std::size_t j = i; j < i + 3; ++j) text::append_utf8(triple, codes[j]);
      vector[fnv1a(triple) % kDimensions] += 1;
    }
    scale_to_one(vector);
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

Vectors EndpointEncoder::encode(std::span<const std::string> texts, CallKey& first) {
  Vectors vectors;
  for (std::size_t at = 0; at < texts.size(); at += kTextsPerCall) {
    const auto some = texts.subspan(at, std::min(kTextsPerCall, texts.size() - at));
    Reply reply = client_.embed(first, model_, some);
    ++first.call;
    if (!reply.answer) {
      throw CallFailed(fmt::format("[annotate::EndpointEncoder] no embeddings from model '{}': {}. "
                                   "--embedding-model names one that the endpoint has.",
                                   model_,
                                   reply.failure.message),
                       reply.failure);
    }
    for (auto& vector : reply.answer->vectors) {
      DETENTE_CHECK(vectors.empty() || vectors[0].size() == vector.size(),
                    ErrorCode::kData,
                    "[annotate::EndpointEncoder] model '{}' gives vectors of {} and of {} numbers; "
                    "expected one length.",
                    model_,
                    vectors[0].size(),
                    vector.size());
      scale_to_one(vector);
      vectors.push_back(std::move(vector));
    }
  }
  return vectors;
}

Vectors encode_all(Encoder& encoder,
                   std::span<const std::string> texts,
                   CallKey& first,
                   const Progress& progress) {
  Vectors vectors;
  for (std::size_t at = 0; at < texts.size(); at += kTextsPerPart) {
    const auto some = texts.subspan(at, std::min(kTextsPerPart, texts.size() - at));
    for (auto& vector : encoder.encode(some, first)) vectors.push_back(std::move(vector));
    if (progress) progress(vectors.size(), texts.size());
  }
  return vectors;
}

double cosine(std::span<const double> a, std::span<const double> b) {
  DETENTE_CHECK(a.size() == b.size(),
                ErrorCode::kShape,
                "[annotate::cosine] vectors of {} and {} numbers cannot be compared; they are of "
                "different encoders.",
                a.size(),
                b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace detente::annotate

// SPDX-License-Identifier: Apache-2.0
// Texts as vectors whose cosine says how alike they are. The seam for encoders that live elsewhere, such as a run's own.
#pragma once

#include <detente/annotate/client.h>
#include <detente/core/error.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace detente::annotate {

// An endpoint that gives no vectors (kIo), with the failure as a call has it.
class CallFailed : public Error {
 public:
  CallFailed(const std::string& message, Failure failure)
      : Error(ErrorCode::kIo, message), failure_(std::move(failure)) {}
  const Failure& failure() const { return failure_; }

 private:
  Failure failure_;
};

using Vectors = std::vector<std::vector<double>>;

class Encoder {
 public:
  virtual ~Encoder() = default;
  // Vectors of encoders with one name can be compared, others cannot.
  virtual std::string name() const = 0;
  // A vector of length 1 (of 0 where there is nothing to encode) for each text, all of one dimension. `first`
  // names the calls in a transcript, where there are any; it is moved behind the last of them. Throws CallFailed
  // where an endpoint gives none.
  virtual Vectors encode(std::span<const std::string> texts, CallKey& first) = 0;
};

// Hears of every part of a long work that is done.
using Progress = std::function<void(std::size_t done, std::size_t total)>;

// Encoder::encode for many texts, part by part.
Vectors encode_all(Encoder& encoder,
                   std::span<const std::string> texts,
                   CallKey& first,
                   const Progress& progress);

// Counts of character triples (NFC, small letters, blanks as one), hashed into 4,096 dimensions: needs no network, sees
// likeness of writing, not of meaning.
class LexicalEncoder final : public Encoder {
 public:
  std::string name() const override { return "character-triples-4096"; }
  Vectors encode(std::span<const std::string> texts, CallKey& first) override;
};

// /v1/embeddings, 32 texts a call.
class EndpointEncoder final : public Encoder {
 public:
  EndpointEncoder(Client& client, std::string model) : client_(client), model_(std::move(model)) {}
  std::string name() const override { return model_; }
  Vectors encode(std::span<const std::string> texts, CallKey& first) override;

 private:
  Client& client_;
  const std::string model_;
};

// Of vectors of length 1; kShape where the dimensions differ.
double cosine(std::span<const double> a, std::span<const double> b);

}  // namespace detente::annotate

// SPDX-License-Identifier: Apache-2.0
#include <detente/report/run_record.h>

#include <cmath>

namespace detente::report {
namespace {

double to_number(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  return value.is_number() ? value.get<double>() : kNoNumber;
}

const Json* object_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_object() ? &*it : nullptr;
}

std::optional<bool> truth_at(const Json& object, const char* key) {
  const double number = number_at(object, key);
  if (!std::isfinite(number)) return std::nullopt;
  return number != 0;
}

std::string text_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

// Nothing for what is no count, or one that no run reaches.
std::optional<std::int64_t> count_at(const Json& object, const char* key) {
  const double number = number_at(object, key);
  if (!(std::abs(number) < 9e15)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

Json truth_json(const std::optional<bool>& truth) { return truth ? Json(*truth) : Json(nullptr); }

Json diagnosis_json(const DiagnosisRecord& diagnosis) {
  Json json;
  if (std::isfinite(diagnosis.conflict_fraction)) {
    json["conflict_fraction"] = diagnosis.conflict_fraction;
    json["magnitude_similarity"] = to_json(diagnosis.magnitude_similarity);
    json["xi"] = to_json(diagnosis.xi);
    Json& triad = json["triad"] = Json::object();
    for (const auto& [pair, conditions] : diagnosis.triad) {
      triad[pair] = {{"dominated", truth_json(conditions.dominated)},
                     {"curved", truth_json(conditions.curved)},
                     {"large_step", truth_json(conditions.large_step)}};
    }
    for (const GroupRecord& group : diagnosis.groups) {
      Json& entry = json["groups"][group.name];
      entry = {{"grad_norms", to_json(group.grad_norms)}, {"cosines", to_json(group.cosines)}};
      if (group.weights) entry["weights"] = to_json(*group.weights);
    }
  }
  if (!diagnosis.curvature.empty()) json["curvature"] = to_json(diagnosis.curvature);
  return json;
}

DiagnosisRecord diagnosis_from(const Json& json) {
  DiagnosisRecord diagnosis;
  diagnosis.conflict_fraction = number_at(json, "conflict_fraction");
  diagnosis.magnitude_similarity = numbers_at(json, "magnitude_similarity");
  diagnosis.xi = numbers_at(json, "xi");
  if (const Json* triad = object_at(json, "triad")) {
    for (const auto& [pair, conditions] : triad->items()) {
      if (!conditions.is_object()) continue;
      diagnosis.triad.emplace_back(pair,
                                   TriadRecord{truth_at(conditions, "dominated"),
                                               truth_at(conditions, "curved"),
                                               truth_at(conditions, "large_step")});
    }
  }
  if (const Json* groups = object_at(json, "groups")) {
    for (const auto& [name, values] : groups->items()) {
      if (!values.is_object()) continue;
      GroupRecord& group = diagnosis.groups.emplace_back();
      group.name = name;
      group.grad_norms = numbers_at(values, "grad_norms");
      group.cosines = numbers_at(values, "cosines");
      if (object_at(values, "weights") != nullptr) group.weights = numbers_at(values, "weights");
    }
  }
  diagnosis.curvature = numbers_at(json, "curvature");
  return diagnosis;
}

}  // namespace

double number_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? kNoNumber : to_number(*it);
}

NamedNumbers numbers_at(const Json& object, const char* key) {
  NamedNumbers out;
  const Json* found = object_at(object, key);
  if (found == nullptr) return out;
  for (const auto& [name, value] : found->items()) out.emplace_back(name, to_number(value));
  return out;
}

NamedTables tables_at(const Json& object, const char* key) {
  NamedTables out;
  const Json* found = object_at(object, key);
  if (found == nullptr) return out;
  for (const auto& [name, table] : found->items()) {
    if (table.is_object()) out.emplace_back(name, numbers_at(*found, name.c_str()));
  }
  return out;
}

Json to_json(const NamedNumbers& numbers) {
  Json json = Json::object();
  for (const auto& [name, value] : numbers) json[name] = json_number(value);
  return json;
}

Json to_json(const NamedTables& tables) {
  Json json = Json::object();
  for (const auto& [name, numbers] : tables) json[name] = to_json(numbers);
  return json;
}

std::string pair_name(const std::string& first, const std::string& second) {
  return first + "|" + second;
}

Json StepRecord::to_json() const {
  Json line{{"type", "step"},
            {"epoch", epoch},
            {"step", step},
            {"lr", json_number(lr)},
            {"losses", report::to_json(losses)},
            {"loss", json_number(loss)},
            {"weights", report::to_json(weights)}};
  if (gradients) {
    line["grad_norms"] = report::to_json(gradients->norms);
    line["cosines"] = report::to_json(gradients->cosines);
    line["conflict"] = truth_json(gradients->conflict);
  }
  line["direction_norm"] = json_number(direction_norm);
  if (estimated) line["estimated"] = true;
  if (std::isfinite(estimate_cosine)) line["estimate_cosine"] = estimate_cosine;
  if (std::isfinite(loss_scale)) line["loss_scale"] = loss_scale;
  if (skipped) line["skipped"] = true;
  if (!notice.empty()) line["notice"] = notice;
  if (diagnosis) {
    if (Json told = diagnosis_json(*diagnosis); !told.is_null())
      line["diagnosis"] = std::move(told);
  }
  if (!monitor.empty()) line["monitor"] = report::to_json(monitor);
  line["ms"] = report::to_json(ms);
  return line;
}

std::optional<StepRecord> StepRecord::from_json(const Json& line) {
  if (record_type(line) != RecordType::kStep) return std::nullopt;
  const auto step = count_at(line, "step");
  if (!step) return std::nullopt;
  StepRecord record;
  record.step = *step;
  record.epoch = count_at(line, "epoch").value_or(0);
  record.lr = number_at(line, "lr");
  record.losses = numbers_at(line, "losses");
  record.loss = number_at(line, "loss");
  record.weights = numbers_at(line, "weights");
  if (line.contains("grad_norms") || line.contains("cosines") || line.contains("conflict")) {
    record.gradients = Gradients{
        numbers_at(line, "grad_norms"), numbers_at(line, "cosines"), truth_at(line, "conflict")};
  }
  record.direction_norm = number_at(line, "direction_norm");
  record.estimated = truth_at(line, "estimated").value_or(false);
  record.estimate_cosine = number_at(line, "estimate_cosine");
  record.loss_scale = number_at(line, "loss_scale");
  record.skipped = truth_at(line, "skipped").value_or(false);
  record.notice = text_at(line, "notice");
  if (const Json* diagnosis = object_at(line, "diagnosis")) {
    record.diagnosis = diagnosis_from(*diagnosis);
  }
  record.monitor = numbers_at(line, "monitor");
  record.ms = numbers_at(line, "ms");
  return record;
}

Json EpochRecord::to_json() const {
  return {{"type", "epoch"},
          {"epoch", epoch},
          {"step", step},
          {"train_losses", report::to_json(train_losses)},
          {"dev", report::to_json(dev)},
          {"seconds", json_number(seconds)},
          {"examples_per_second", json_number(examples_per_second)},
          {"best", best}};
}

std::optional<EpochRecord> EpochRecord::from_json(const Json& line) {
  if (record_type(line) != RecordType::kEpoch) return std::nullopt;
  const auto epoch = count_at(line, "epoch");
  if (!epoch) return std::nullopt;
  EpochRecord record;
  record.epoch = *epoch;
  record.step = record_step(line);
  record.train_losses = numbers_at(line, "train_losses");
  record.dev = tables_at(line, "dev");
  record.seconds = number_at(line, "seconds");
  record.examples_per_second = number_at(line, "examples_per_second");
  record.best = truth_at(line, "best").value_or(false);
  return record;
}

RecordType record_type(const Json& line) {
  if (!line.is_object()) return RecordType::kOther;
  const std::string type = text_at(line, "type");
  if (type == "step") return RecordType::kStep;
  return type == "epoch" ? RecordType::kEpoch : RecordType::kOther;
}

std::int64_t record_step(const Json& line) {
  return line.is_object() ? count_at(line, "step").value_or(0) : 0;
}

}  // namespace detente::report

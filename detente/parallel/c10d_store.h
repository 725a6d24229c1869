// SPDX-License-Identifier: Apache-2.0
// The store behind a meeting place, for the files that name c10d.
#pragma once

#include <detente/parallel/meeting_place.h>

#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace detente::parallel {

struct MeetingPlace::Store {
  c10::intrusive_ptr<c10d::Store> shared;  // of all runs at this port
  c10::intrusive_ptr<c10d::Store> own;     // of this attempt of this run

  void set(const std::string& key, const std::string& value) const;
  std::string get(const std::string& key) const;
  bool has(const std::string& key) const;
};

}  // namespace detente::parallel

// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/tile_store.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace detente::data {

TileStore::TileStore(std::shared_ptr<slides::SlideReader> reader,
                     const std::vector<std::string>& files,
                     const std::vector<PlacedTile>& tiles,
                     std::size_t bytes)
    : reader_(std::move(reader)),
      files_(files),
      tiles_(tiles),
      most_(bytes / 2),
      bad_(files.size(), false) {}

TileStore::~TileStore() {
  for (const auto& [row, ticket] : pending_) reader_->drop(ticket);
}

std::size_t TileStore::bytes_of(std::size_t row) const {
  const slides::Region& region = tiles_[row].region;
  return 3 * static_cast<std::size_t>(region.out_width) *
         static_cast<std::size_t>(region.out_height);
}

slides::SlideReader::Ticket TileStore::ask(std::size_t row) {
  return reader_->ask(files_[tiles_[row].slide], tiles_[row].region);
}

void TileStore::expect(std::span<const std::size_t> rows) {
  const std::lock_guard lock(mutex_);
  for (const std::size_t row : rows) {
    if (bad_[tiles_[row].slide] || pending_.contains(row) || place_.contains(row)) continue;
    // What was expected and never wanted makes room; what is still wanted of these rows is young.
    while (pending_bytes_ + bytes_of(row) > most_ && !order_.empty()) {
      const std::size_t oldest = order_.front();
      if (std::find(rows.begin(), rows.end(), oldest) != rows.end()) return;
      reader_->drop(pending_.at(oldest));
      pending_.erase(oldest);
      order_.pop_front();
      pending_bytes_ -= bytes_of(oldest);
    }
    if (pending_bytes_ + bytes_of(row) > most_) return;
    pending_.emplace(row, ask(row));
    order_.push_back(row);
    pending_bytes_ += bytes_of(row);
  }
}

void TileStore::keep(std::size_t row, std::vector<std::uint8_t> values) {
  const std::size_t bytes = values.size();
  while (kept_bytes_ + bytes > most_ && !kept_.empty()) {
    kept_bytes_ -= kept_.back().second.size();
    place_.erase(kept_.back().first);
    kept_.pop_back();
  }
  if (bytes > most_) return;
  kept_.emplace_front(row, std::move(values));
  place_[row] = kept_.begin();
  kept_bytes_ += bytes;
}

bool TileStore::read(std::size_t row, std::uint8_t* out) {
  const std::lock_guard lock(mutex_);
  const auto kept = place_.find(row);
  if (kept != place_.end()) {
    kept_.splice(kept_.begin(), kept_, kept->second);
    std::copy(kept_.front().second.begin(), kept_.front().second.end(), out);
    return true;
  }
  const std::uint32_t slide = tiles_[row].slide;
  std::optional<slides::SlideReader::Ticket> ticket;
  if (const auto pending = pending_.find(row); pending != pending_.end()) {
    ticket = pending->second;
    pending_.erase(pending);
    order_.remove(row);
    pending_bytes_ -= bytes_of(row);
  }
  if (bad_[slide]) {
    if (ticket) reader_->drop(*ticket);
    return false;
  }
  try {
    slides::Picture picture = reader_->take(ticket ? *ticket : ask(row));
    std::copy(picture.values.begin(), picture.values.end(), out);
    keep(row, std::move(picture.values));
    return true;
  } catch (const Error& error) {
    // What the reader itself lacks is nobody's slide's fault.
    if (error.code() != ErrorCode::kData) throw;
    bad_[slide] = true;
    news_.push_back(fmt::format(
        "A slide cannot be read any more; its tiles are blank and without targets from here on. {}",
        error.what()));
    return false;
  }
}

bool TileStore::is_bad(std::size_t slide) const {
  const std::lock_guard lock(mutex_);
  return bad_[slide];
}

std::vector<std::string> TileStore::news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

}  // namespace detente::data

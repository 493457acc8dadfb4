// A registry that does not believe in its own loss. A whole read in which everything that was
// known, or most of it, is missing (an emptied or damaged file, a database made anew, a flushed
// Redis) removes nothing: what was known stays in force, with the last good copy beside the store
// for a process that starts meanwhile. What such a read says anew or otherwise is taken.
//
// The doubt ends when the records are back, when an operator accepts the loss, or after a grace.
// A removal that is told by itself (REST, ctl) is never doubted; the store counts these, so that it
// is believed of a whole read too, which is what a reader gets who has missed too many of them.
//
// Used by the feed's thread but where it says otherwise; wraps the store that is configured.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gateway/registry/registry_store.h"

namespace berth::gateway::registry {

class GuardedRegistry final : public RegistryStore {
 public:
  struct Options {
    std::unique_ptr<RegistryStore> copy;  // of the last good one; null: none
    // A copy made anew in the place of one that can't be read; null: none.
    std::function<std::unique_ptr<RegistryStore>()> renew_copy;
    bool keeps_copy = true;  // false: another process of this gateway writes it, we only read it
    std::uint32_t grace_s = 86'400;             // 0: a loss is believed at once
    std::function<std::int64_t()> monotonic_s;  // a clock; default: that of the system
  };
  GuardedRegistry(std::unique_ptr<RegistryStore> inner, Options options);

  // Throws as the store's, but at first, with a copy: that is what is read then.
  Changes read() override;
  bool write(const std::vector<Write>& writes) override { return inner_->write(writes); }
  bool read_only() const override { return inner_->read_only(); }
  Reports exchange(const Reports& ours) override { return inner_->exchange(ours); }
  void interrupt() override { inner_->interrupt(); }

  // -- any thread
  struct Doubt {
    std::vector<std::string> missing;  // keys
    std::size_t known = 0;             // records before the loss
  };
  std::optional<Doubt> doubt() const;       // nothing: there is none
  void accept_loss() { accepted_ = true; }  // with the next read

 private:
  Changes begin();
  Changes judge(Changes c);
  Changes judge_whole(Changes c);
  void follow(const Change& c);
  bool by_name() const;
  bool loss_is_believed();
  void end_doubt(Changes& out);
  void tell();
  std::optional<Changes> read_copy();
  void save();

  std::unique_ptr<RegistryStore> inner_;
  Options options_;
  bool begun_ = false;
  std::unordered_map<std::string, std::size_t> known_;  // hashes of the values in force, by key
  std::unordered_set<std::string> missing_;             // of those, what the store does not have
  std::size_t doubted_of_ = 0;                          // records that were known before the loss
  std::int64_t since_s_ = 0;                            // of the doubt
  struct {
    std::int64_t before = -1;  // Changes::removals at the last read, or when the copy was made
    std::int64_t now = -1;
    std::int64_t saved = -1;  // with the copy
  } removals_;
  std::unordered_map<std::string, std::optional<std::string>> unsaved_;  // of the copy
  bool copy_fails_ = false;
  std::atomic<bool> accepted_{false};
  mutable std::mutex mutex_;
  std::optional<Doubt> told_;  // under mutex_
};

// Is the loss of `missing` of `known` records more than an operator's work?
bool is_loss(std::size_t missing, std::size_t known);

}  // namespace berth::gateway::registry

// A bounded number of places, of which one tenant (or one administrator) may have a part. Places
// may outlive the table: requests can end after their server. The server's thread.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace berth::gateway::admin {

class FairPlaces {
 public:
  FairPlaces(std::size_t most, std::size_t most_of_one)
      : most_(most), most_of_one_(most_of_one), taken_(std::make_shared<Taken>()) {}
  // Held as long as the pointer; null: there is none left for `share`.
  std::shared_ptr<void> take(const std::string& share) {
    std::size_t& mine = taken_->by_share[share];
    if (taken_->all >= most_ || mine >= most_of_one_) {
      if (mine == 0) taken_->by_share.erase(share);
      return nullptr;
    }
    ++mine;
    ++taken_->all;
    return std::make_shared<Place>(taken_, share);
  }
  std::size_t taken() const { return taken_->all; }

 private:
  struct Taken {
    std::size_t all = 0;
    std::map<std::string, std::size_t> by_share;
  };
  struct Place {
    Place(std::shared_ptr<Taken> of, std::string who)
        : taken(std::move(of)), share(std::move(who)) {}
    ~Place() {
      --taken->all;
      if (--taken->by_share[share] == 0) taken->by_share.erase(share);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    std::shared_ptr<Taken> taken;  // shared: see above
    std::string share;
  };
  std::size_t most_;
  std::size_t most_of_one_;
  std::shared_ptr<Taken> taken_;
};

}  // namespace berth::gateway::admin

// The events of one stream in order, from what the partitions say (events_api.h): an event is said
// when all partitions that answer have said what was before it. What is missing in their memory is
// asked of the history, where the stream is of one device or of some sites; else an event `gap`
// says so.
//
// The id of an event promises that all events before it have been said: a client that comes again
// with it misses nothing. So an event has none while a partition has not said what was before it,
// and while another event of its place is to come. No socket, no question; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "platform/history.h"
#include "platform/history.pb.h"

namespace berth::gateway::rest {

class EventOrder {
 public:
  using Place = std::pair<std::int64_t, std::uint64_t>;  // Unix time in ms, number
  using Answers = std::vector<std::optional<platform::pb::EventsAnswer>>;
  struct Out {
    std::string name, data, id;
  };
  struct Missing {  // an engine has it in the store only
    std::uint32_t partition = 0;
    Place from, to;
    std::size_t list = 0;  // of the history
  };

  // `about`: what is asked for, but for places.
  EventOrder(platform::pb::EventsQuestion about, std::uint32_t partitions);
  // After the event with this id. False: no event has such an id.
  bool resume(const std::string& id);

  // What a partition has not said yet.
  platform::pb::EventsQuestion question(std::uint32_t partition) const;
  // One a partition; nothing: it did not answer. False: none did.
  bool take(Answers said);
  // To be asked of the history, one after the other, before say_all().
  std::optional<Missing> next_missing();
  bool is_missing() const { return !missing_.empty(); }
  // The history can't be asked: gaps say so instead. How many.
  std::size_t give_up_missing();
  platform::pb::HistoryQuestion question(const Missing& m) const;
  // Nothing: it did not answer.
  void fill(const Missing& m, const std::optional<platform::pb::HistoryAnswer>& said);
  void say_all();

  std::deque<Out>& waiting() { return waiting_; }  // for the client to read

 private:
  bool wants(platform::HistoryKind k) const;
  std::size_t lists() const;
  void gap(const Place& begin, const Place& end, const char* missing);
  void take(std::uint32_t partition, platform::pb::EventsAnswer& a, const Place& through);
  bool is_complete_to(const Place& p) const;
  std::string json_of(const platform::pb::HistoryEvent& e) const;

  platform::pb::EventsQuestion about_;
  std::vector<Place> from_;  // by partition: what has not been said
  Place last_{};             // the newest that was said
  std::vector<platform::pb::HistoryEvent> now_;
  std::deque<Missing> missing_;
  std::deque<Out> waiting_;
};

}  // namespace berth::gateway::rest

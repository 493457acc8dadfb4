#include "gateway/ctl/partitions.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

constexpr const char* kPartitions = "/api/v1/partitions";

// What the answer says of this partition.
json::object partition_in(const std::string& text, std::uint32_t number) {
  for (const json::value& v : list_in(object_of(text), "items")) {
    if (v.is_object() && number_in(v.get_object(), "partition") == number) return v.get_object();
  }
  return {};
}

std::string partitions_table(const std::string& body) {
  return table_of(list_in(object_of(body), "items"), {"partition", "served", "host", "pid", "term",
                                                      "sessions", "others", "hold_s", "why"});
}

// 0: no longer.
admin::Response ask_hold(const Ctl& admin, std::uint32_t seconds) {
  const std::string target = std::string(kPartitions) + "/hold";
  return seconds == 0 ? ask(admin, "DELETE", target)
                      : ask(admin, "POST", target + "?for_s=" + std::to_string(seconds));
}

std::string place_of(const json::object& engine) {
  return "host " + text_in(engine, "host") + ", pid " + text_in(engine, "pid");
}

}  // namespace

PartitionsVerb::PartitionsVerb(CLI::App& control) {
  verb_ = control.add_subcommand("partitions", "which engine serves which partition of a cluster");
  verb_->require_subcommand(0, 1);
  move_ =
      verb_->add_subcommand("move", "another engine is to serve a partition; waits until it does");
  move_->add_option("partition", number_, "its number")->required();
  move_->add_option("--wait-s", limit_s_, "how long to wait [120]")->check(CLI::Range(1, 3600));
  move_
      ->add_option("--hold", hold_s_,
                   "seconds in which the engines do not divide the partitions evenly again")
      ->check(CLI::Range(1, 86'400));
  hold_ = verb_->add_subcommand("hold", "partitions stay where they are for a time; 0: no longer");
  hold_->add_option("seconds", hold_s_, "how long")->required()->check(CLI::Range(0, 86'400));
}

int PartitionsVerb::list(const Ctl& admin) const {
  return print_answer(admin, ask(admin, "GET", kPartitions), partitions_table);
}

int PartitionsVerb::hold(const Ctl& admin) const {
  return print_answer(admin, ask_hold(admin, hold_s_), partitions_table);
}

int PartitionsVerb::move(const Ctl& admin) const {
  const std::string number = std::to_string(number_);
  const json::object seen = partition_in(ask(admin, "GET", kPartitions).body, number_);
  if (hold_s_ != 0) {
    if (const admin::Response r = ask_hold(admin, hold_s_); r.status != 200)
      return print_refusal(admin, r);
  }
  const std::string process = text_in(seen, "process");
  const admin::Response r = ask(admin, "POST",
                                std::string(kPartitions) + "/" + number + "/move" +
                                    (process.empty() ? "" : "?process=" + encoded(process)));
  if (r.status != 202) return print_refusal(admin, r);
  const json::object before = object_of(r.body);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(limit_s_);
  while (std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // between two looks
    const json::object now = partition_in(ask(admin, "GET", kPartitions).body, number_);
    if (!is_true(now, "served") || number_in(now, "term") == number_in(before, "term")) continue;
    if (text_in(now, "process") == text_in(before, "process")) {
      std::fputs("berth ctl: the same engine has taken the partition again; its log says why\n",
                 stderr);
      return 1;
    }
    // The engine that serves it now may have heard of no hold.
    if (hold_s_ != 0) ask_hold(admin, hold_s_);
    std::printf("partition %s moved from %s to %s\n", number.c_str(), place_of(before).c_str(),
                place_of(now).c_str());
    return 0;
  }
  std::fputs("berth ctl: no other engine serves the partition yet\n", stderr);
  return 1;
}

std::optional<int> PartitionsVerb::run(const Ctl& admin) const {
  if (*move_) return answered([&] { return move(admin); });
  if (*hold_) return answered([&] { return hold(admin); });
  if (*verb_) return answered([&] { return list(admin); });
  return std::nullopt;
}

}  // namespace berth::gateway

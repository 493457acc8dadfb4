#include "metrics/exposition.h"

#include <gtest/gtest.h>
#include <libdeflate.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "metrics/histogram.h"
#include "metrics/link_names.h"
#include "metrics/memory_limit.h"

namespace berth::metrics {
namespace {

const BuildInfo kBuild{"1.2", "abc"};

TEST(Exposition, TextHasAFamilyInOnePieceAndEscapesWhatItMust) {
  const std::vector<Sample> samples{
      {"berth_a_total", "reason", "x", "What \\ is\nthis", true, 5},
      {"berth_b", "", "", "A gauge", false, 7},
      {"berth_a_total", "reason", "y\"\\\n", "", true, 6},
  };
  EXPECT_EQ(exposition(samples, kBuild, Format::text),
            "# HELP berth_build_info Constant 1, labelled with the build\n"
            "# TYPE berth_build_info gauge\n"
            "berth_build_info{version=\"1.2\",revision=\"abc\"} 1\n"
            "# HELP berth_a_total What \\\\ is\\nthis\n"
            "# TYPE berth_a_total counter\n"
            "berth_a_total{reason=\"x\"} 5\n"
            "berth_a_total{reason=\"y\\\"\\\\\\n\"} 6\n"
            "# HELP berth_b A gauge\n"
            "# TYPE berth_b gauge\n"
            "berth_b 7\n");
}

TEST(Exposition, OpenMetricsHasExemplarsOfCommands) {
  using Part = Sample::Part;
  const auto bucket = [](const char* family, const char* le, std::uint64_t n) {
    return Sample{family, "le", le, "h", true, n, Sample::Unit::one, Part::bucket};
  };
  const auto exemplar = [](const char* text, std::uint64_t us) {
    return Sample{kCommandExemplar, "x", text, "", true, us, Sample::Unit::microseconds};
  };
  const std::vector<Sample> samples{exemplar("aa 1700000000123", 32'768),
                                    bucket("berth_command_seconds", "0.016384", 1),
                                    bucket("berth_command_seconds", "0.032768", 4),
                                    bucket("berth_command_seconds", "+Inf", 5),
                                    bucket("berth_other_seconds", "+Inf", 1),
                                    exemplar("bb 1700000000124", 17'000),
                                    exemplar("cc 1700000000000", 60'000'000),
                                    exemplar("dd 1600000000000", 20'000),
                                    exemplar("spoilt", 20'000)};
  const std::string page = exposition(samples, kBuild, Format::open_metrics);
  EXPECT_NE(page.find("berth_command_seconds_bucket{le=\"0.016384\"} 1\n"
                      "berth_command_seconds_bucket{le=\"0.032768\"} 4 # {trace_id=\"bb\"} 0.017 "
                      "1700000000.124\n"
                      "berth_command_seconds_bucket{le=\"+Inf\"} 5 # {trace_id=\"cc\"} 60 "
                      "1700000000\n"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("berth_other_seconds_bucket{le=\"+Inf\"} 1\n"), std::string::npos);
  EXPECT_EQ(page.find(kCommandExemplar), std::string::npos);
  const std::string text = exposition(samples, kBuild, Format::text);
  EXPECT_EQ(text.find(kCommandExemplar) & text.find("trace_id"), std::string::npos) << text;
}

TEST(Exposition, OpenMetricsNamesCountersWithoutTotalAndEnds) {
  const std::string page =
      exposition({{"berth_a_total", "", "", "\"Quoted\"", true, 5}}, kBuild, Format::open_metrics);
  EXPECT_NE(page.find("# HELP berth_a \\\"Quoted\\\"\n# TYPE berth_a counter\nberth_a_total 5\n"),
            std::string::npos)
      << page;
  EXPECT_TRUE(page.ends_with("\n# EOF\n"));
}

TEST(Exposition, SecondsAreExact) {
  using Unit = Sample::Unit;
  const auto value = [](std::uint64_t v, Unit unit) {
    const std::string page =
        exposition({{"berth_x_seconds", "", "", "", false, v, unit}}, kBuild, Format::text);
    return page.substr(page.rfind(' ') + 1);
  };
  EXPECT_EQ(value(0, Unit::milliseconds), "0\n");
  EXPECT_EQ(value(1500, Unit::milliseconds), "1.5\n");
  EXPECT_EQ(value(7, Unit::milliseconds), "0.007\n");
  EXPECT_EQ(value(2'000'001, Unit::microseconds), "2.000001\n");
  EXPECT_EQ(value(18'446'744'073'709'551'615ULL, Unit::one), "18446744073709551615\n");
}

TEST(Exposition, TheFormatIsTheOneThatIsWantedMost) {
  EXPECT_EQ(format_asked(""), Format::text);
  EXPECT_EQ(format_asked("*/*"), Format::text);
  EXPECT_EQ(format_asked("text/html, application/xhtml+xml"), Format::text);
  EXPECT_EQ(format_asked("application/openmetrics-text; version=1.0.0,text/plain;q=0.5"),
            Format::open_metrics);
  EXPECT_EQ(format_asked("text/plain;version=0.0.4;q=0.9,Application/OpenMetrics-Text;q=0.2"),
            Format::text);
  EXPECT_EQ(format_asked("application/openmetrics-text;q=0"), Format::text);
  EXPECT_TRUE(takes_gzip("gzip"));
  EXPECT_TRUE(takes_gzip("deflate, gzip;q=1.0, *;q=0.5"));
  EXPECT_FALSE(takes_gzip("gzip;q=0, identity"));
  EXPECT_FALSE(takes_gzip("deflate"));
  EXPECT_FALSE(takes_gzip(""));
}

TEST(Exposition, WhatIsCompressedIsTheSame) {
  std::string page;
  for (int i = 0; i < 1000; ++i) page += "berth_x{reason=\"" + std::to_string(i) + "\"} 1\n";
  const std::string small = gzipped(page);
  EXPECT_LT(small.size(), page.size() / 3);
  std::string back(page.size(), '\0');
  std::size_t n = 0;
  libdeflate_decompressor* d = libdeflate_alloc_decompressor();
  EXPECT_EQ(libdeflate_gzip_decompress(d, small.data(), small.size(), back.data(), back.size(), &n),
            LIBDEFLATE_SUCCESS);
  libdeflate_free_decompressor(d);
  EXPECT_EQ(n, page.size());
  EXPECT_EQ(back, page);
}

TEST(Histogram, EveryDurationIsInTheBucketOfTheLeastBoundThatHoldsIt) {
  for (std::size_t i = 0; i + 1 < Histogram::kBuckets; ++i) {
    EXPECT_EQ(Histogram::bucket_of(Histogram::bound_us(i)), i);
    EXPECT_EQ(Histogram::bucket_of(Histogram::bound_us(i) + 1), i + 1);
  }
  EXPECT_EQ(Histogram::bucket_of(0), 0u);
  EXPECT_EQ(Histogram::bucket_of(1), 0u);
  EXPECT_EQ(Histogram::bucket_of(~std::uint64_t{0}), Histogram::kBuckets - 1);
  Histogram h;
  h.observe_ns(-5);
  EXPECT_EQ(h.counts[0], 1u) << "clocks of two threads";
  EXPECT_EQ(h.sum_us, 0u);
}

// What Prometheus is told: cumulative, +Inf is the count, the sum in seconds.
TEST(Histogram, IsExportedCumulatively) {
  EngineProbe probe;
  probe.commit.observe_us(20);
  probe.commit.observe_us(3000, 2);
  probe.commit.observe_us(60'000'000);
  const std::string page = exposition(samples_of(probe), kBuild, Format::text);
  const auto has = [&](const std::string& line) {
    EXPECT_NE(page.find("\n" + line + "\n"), std::string::npos) << line;
  };
  has("# TYPE berth_store_commit_seconds histogram");
  has("berth_store_commit_seconds_bucket{le=\"0.000032\"} 1");
  has("berth_store_commit_seconds_bucket{le=\"0.002048\"} 1");
  has("berth_store_commit_seconds_bucket{le=\"0.004096\"} 3");
  has("berth_store_commit_seconds_bucket{le=\"16.777216\"} 3");
  has("berth_store_commit_seconds_bucket{le=\"+Inf\"} 4");
  has("berth_store_commit_seconds_sum 60.00602");
  has("berth_store_commit_seconds_count 4");
}

TEST(Probes, OfSeveralPartitionsAddUp) {
  EngineProbe a;
  EngineProbe b;
  a.store_up = 1;
  a.restore_ms = 7;
  a.commit.observe_us(10);
  b.commit.observe_us(10);
  b.sessions = 3;
  add(a, b);
  EXPECT_EQ(a.store_up, 0u);
  EXPECT_EQ(a.restore_ms, 7u);
  EXPECT_EQ(a.sessions, 3u);
  EXPECT_EQ(a.commit.counts[0], 2u);
}

TEST(Probes, TheStandardMetricsOfAProcessAreThere) {
  std::set<std::string> names;
  for (const Sample& s : process_samples("edge")) {
    EXPECT_GT(s.value, 0u) << s.family;
    EXPECT_EQ(s.label_value, "edge");
    names.insert(s.family);
  }
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_start_time_seconds",
                           "process_open_fds", "process_max_fds", "berth_memory_limit_bytes"})
    EXPECT_EQ(names.count(name), 1u) << name;
}

class MemoryLimit : public ::testing::Test {
 protected:
  MemoryLimit() {
    root_ =
        std::filesystem::path(::testing::TempDir()) / ("memory_limit_" + std::to_string(getpid()));
    put("proc/meminfo", "MemFree: 1 kB\nMemTotal:    4096 kB\n");
  }
  ~MemoryLimit() override { std::filesystem::remove_all(root_); }
  void put(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::uint64_t limit() const { return memory_limit_of_host(root_.string()); }
  std::filesystem::path root_;
};

TEST_F(MemoryLimit, IsTheLeastOfAGroupThoseAboveItAndTheMachine) {
  EXPECT_EQ(limit(), 4u << 20) << "no groups";
  put("proc/self/cgroup", "0::/kubepods/pod1/berth\n");
  put("sys/fs/cgroup/kubepods/pod1/berth/memory.max", "max\n");
  EXPECT_EQ(limit(), 4u << 20) << "no limit";
  put("sys/fs/cgroup/kubepods/pod1/memory.max", "2097152\n");
  EXPECT_EQ(limit(), 2u << 20) << "of the pod";
  put("sys/fs/cgroup/kubepods/pod1/berth/memory.max", "1048576\n");
  EXPECT_EQ(limit(), 1u << 20) << "of the container";
  put("proc/self/cgroup", "0::/\n");
  put("sys/fs/cgroup/memory.max", "524288\n");
  EXPECT_EQ(limit(), 512u << 10) << "of a container that sees its own group as the root";
}

TEST_F(MemoryLimit, OfTheFirstVersionOfGroups) {
  put("proc/self/cgroup", "12:cpu,cpuacct:/x\n5:memory:/docker/abc\n1:name=systemd:/x\n");
  put("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "1048576\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(limit(), 1u << 20);
}

}  // namespace
}  // namespace berth::metrics

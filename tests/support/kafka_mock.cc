// librdkafka's own mock cluster as a program, for tests and benches: three brokers on loopback, and
// a consumer that writes each message.
//
//   berth-kafka TOPIC PARTITIONS [--count]
//
// The first line is "brokers HOST:PORT,HOST:PORT,HOST:PORT". Then, for each message of the topic, a
// line "PARTITION OFFSET KEY HEADERS PAYLOAD" (HEADERS: NAME=VALUE;..., no line ends in PAYLOAD);
// with --count once a second the number of messages instead. Lines of standard input:
//   leader PARTITION BROKER    down BROKER    up BROKER    errors CODE COUNT (of Produce requests)
// Ends with its standard input.
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kBrokers = 3;
constexpr std::int16_t kProduce = 0;  // ApiKey

rd_kafka_t* client(rd_kafka_type_t type, const char* brokers) {
  char why[512];
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
  rd_kafka_conf_set(conf, "group.id", "berth-kafka", why, sizeof why);
  rd_kafka_conf_set(conf, "fetch.wait.max.ms", "20", why, sizeof why);
  rd_kafka_conf_set(conf, "topic.metadata.refresh.interval.ms", "200", why, sizeof why);
  rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
  rd_kafka_t* const k = rd_kafka_new(type, conf, why, sizeof why);
  if (k == nullptr) {
    std::fprintf(stderr, "%s\n", why);
    std::exit(1);
  }
  return k;
}

std::string headers_text(const rd_kafka_message_t* m) {
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return "-";
  std::string out;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i)
    out += std::string(name) + "=" + std::string(static_cast<const char*>(value), size) + ";";
  return out;
}

void obey(rd_kafka_mock_cluster_t* cluster, const char* topic, const std::string& line) {
  std::istringstream in(line);
  std::string what;
  int a = 0, b = 0;
  in >> what >> a >> b;
  if (what == "leader") rd_kafka_mock_partition_set_leader(cluster, topic, a, b);
  if (what == "down") rd_kafka_mock_broker_set_down(cluster, a);
  if (what == "up") rd_kafka_mock_broker_set_up(cluster, a);
  if (what == "errors") {
    const std::vector<rd_kafka_resp_err_t> all(static_cast<std::size_t>(b),
                                               static_cast<rd_kafka_resp_err_t>(a));
    rd_kafka_mock_push_request_errors_array(cluster, kProduce, all.size(), all.data());
  }
  std::printf("done %s\n", line.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);  // so that in_avail() knows what was read ahead
  if (argc < 3) return 64;
  const char* const topic = argv[1];
  const int partitions = std::atoi(argv[2]);
  const bool count = argc > 3 && std::strcmp(argv[3], "--count") == 0;
  rd_kafka_t* const owner = client(RD_KAFKA_PRODUCER, "127.0.0.1:1");
  rd_kafka_mock_cluster_t* const cluster = rd_kafka_mock_cluster_new(owner, kBrokers);
  rd_kafka_mock_topic_create(cluster, topic, partitions, kBrokers);
  const std::string brokers = rd_kafka_mock_cluster_bootstraps(cluster);
  std::printf("brokers %s\n", brokers.c_str());
  std::fflush(stdout);
  rd_kafka_t* const reader = client(RD_KAFKA_CONSUMER, brokers.c_str());
  rd_kafka_poll_set_consumer(reader);
  rd_kafka_topic_partition_list_t* const all = rd_kafka_topic_partition_list_new(partitions);
  for (int p = 0; p < partitions; ++p)
    rd_kafka_topic_partition_list_add(all, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(reader, all);
  std::uint64_t n = 0;
  auto said = std::chrono::steady_clock::now();
  std::string line;
  for (;;) {
    pollfd in{0, POLLIN, 0};
    if (std::cin.rdbuf()->in_avail() > 0 || ::poll(&in, 1, 0) > 0) {
      if (!std::getline(std::cin, line)) break;
      obey(cluster, topic, line);
    }
    rd_kafka_message_t* const m = rd_kafka_consumer_poll(reader, 20);
    if (m != nullptr && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      ++n;
      if (!count)
        std::printf("%d %lld %.*s %s %.*s\n", m->partition, static_cast<long long>(m->offset),
                    static_cast<int>(m->key_len), static_cast<const char*>(m->key),
                    headers_text(m).c_str(), static_cast<int>(m->len),
                    static_cast<const char*>(m->payload));
    }
    if (m != nullptr) rd_kafka_message_destroy(m);
    if (count && std::chrono::steady_clock::now() - said > std::chrono::seconds(1)) {
      said = std::chrono::steady_clock::now();
      std::printf("%llu\n", static_cast<unsigned long long>(n));
    }
    std::fflush(stdout);
  }
  std::_Exit(0);  // the cluster and its clients end with the process
}

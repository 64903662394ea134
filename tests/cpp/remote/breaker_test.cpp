// What waiting for a remote may cost, with a clock of its own.
#include <coldframe/remote/breaker.hpp>

#include <doctest/doctest.h>

using namespace coldframe::remote;
using namespace std::chrono_literals;

namespace {

constexpr SteadyTime k_start{1h};

}  // namespace

TEST_CASE("a probe comes sooner when somebody waits for it, once") {
    Breaker breaker({});
    breaker.hasten_probe(k_start);
    CHECK(breaker.closed());
    for (int i = 0; i < 3; ++i) breaker.failed(1ms, k_start);
    breaker.hasten_probe(k_start + 5s);
    CHECK(breaker.probe_time() == k_start + 5s);
    CHECK(breaker.wants_probe(k_start + 5s));
    breaker.failed(1ms, k_start + 6s);
    CHECK(breaker.probe_time() == k_start + 66s);
}

TEST_CASE("it opens after three failures in a row, and only a probe closes it") {
    Breaker breaker({});
    SteadyTime now = k_start;
    for (int i = 0; i < 10; ++i) {
        breaker.failed(1ms, now);
        breaker.failed(1ms, now);
        breaker.succeeded();
        CHECK(breaker.closed());
    }
    for (int i = 0; i < 3; ++i) breaker.failed(1ms, now);
    CHECK_FALSE(breaker.closed());
    CHECK(breaker.probe_time() == now + 60s);
    breaker.succeeded();  // of a call that was under way
    CHECK_FALSE(breaker.closed());
    CHECK_FALSE(breaker.wants_probe(now + 59s));
    now += 60s;
    CHECK(breaker.wants_probe(now));
    CHECK_FALSE(breaker.wants_probe(now));
    breaker.failed(1ms, now);
    CHECK_FALSE(breaker.closed());
    CHECK_FALSE(breaker.wants_probe(now + 59s));
    CHECK(breaker.wants_probe(now + 60s));
    breaker.succeeded();
    CHECK(breaker.closed());
    CHECK(breaker.probe_time() == SteadyTime::max());
    CHECK(breaker.patience(300ms, now + 60s) == 300ms);
}

TEST_CASE("however the remote fails, lookups wait no longer than 330 ms for nothing, plus 330 ms a minute") {
    for (const auto share : {1, 2, 3, 7}) {  // the part of its patience after which each lookup fails
        Breaker breaker({});
        SteadyTime now = k_start;
        SteadyTime::duration wasted{};
        for (int i = 0; i < 100000; ++i) {
            now += 10ms;  // what the program does otherwise
            if (breaker.wants_probe(now)) breaker.succeeded();
            if (!breaker.closed()) continue;
            if (i % 2 == 1) {
                breaker.succeeded();  // works now and then
                continue;
            }
            const auto time = std::max<milliseconds>(breaker.patience(250ms, now) / share, 1ms);
            now += time;
            wasted += time;
            breaker.failed(time, now);
        }
        const double minutes = std::chrono::duration<double>(now - k_start) / 60s;
        CHECK(std::chrono::duration<double>(wasted).count() < 0.33 + 0.34 * (minutes + 1));
    }
    Breaker breaker({});
    breaker.failed(250ms, k_start);
    CHECK(breaker.closed());
    CHECK(breaker.patience(250ms, k_start) == 80ms);
    breaker.failed(80ms, k_start);
    CHECK_FALSE(breaker.closed());
}

TEST_CASE("wrong bytes cost time, but do not count as failures") {
    Breaker breaker({});
    for (int i = 0; i < 29; ++i) breaker.wasted(10ms, k_start);
    CHECK(breaker.closed());
    for (int i = 0; i < 3; ++i) breaker.wasted(10ms, k_start);
    CHECK_FALSE(breaker.closed());
}

TEST_CASE("one that never opens") {
    Breaker breaker({.open_for = 0ms});
    for (int i = 0; i < 100; ++i) breaker.failed(300ms, k_start);
    CHECK(breaker.closed());
    CHECK(breaker.patience(300ms, k_start) == 300ms);
}

TEST_CASE("a stall, or a drip, ends after the patience, wherever in a transfer it begins") {
    const Limits limits;
    Watch silent(limits, k_start);
    CHECK_FALSE(silent.expired(k_start + 249ms));
    CHECK(silent.expired(k_start + 250ms));

    Watch fast(limits, k_start);
    SteadyTime now = k_start;
    for (int i = 0; i < 1000; ++i) {
        now += 10ms;
        fast.moved(100'000, now);
        REQUIRE_FALSE(fast.expired(now));
    }
    CHECK(fast.expired(now + 250ms));
    const SteadyTime begin = now;
    while (!fast.expired(now)) {
        now += 10ms;
        fast.moved(100, now);
    }
    CHECK(now - begin < 270ms);
}

TEST_CASE("the end comes whatever moves, and may be brought forward") {
    Limits limits;
    limits.end = k_start + 1s;
    Watch watch(limits, k_start);
    for (int i = 1; i < 100; ++i) watch.moved(1'000'000, k_start + i * 10ms);
    CHECK_FALSE(watch.expired(k_start + 999ms));
    CHECK(watch.expired(k_start + 1s));
    CHECK(watch.wait(k_start + 999ms) == 1);
    CHECK(watch.wait(k_start + 900ms) == 20);
}

TEST_CASE("whoever is hurried waits no longer than that, for a stall as for a drip, and as long as it takes for what goes on") {
    Hurry hurry;
    Limits limits;
    limits.patience = 2s;
    limits.hurry = &hurry;
    Watch stalling(limits, k_start);
    Watch dripping(limits, k_start);
    Watch sound(limits, k_start);
    CHECK_FALSE(stalling.expired(k_start + 1s));
    const SteadyTime begin = k_start + 1s;
    hurry.start(300ms, k_start + 6s, begin);
    CHECK_FALSE(stalling.expired(begin + 299ms));
    CHECK(stalling.expired(begin + 300ms));
    SteadyTime now = begin;
    while (!dripping.expired(now)) {
        now += 10ms;
        dripping.moved(100, now);
    }
    CHECK(now - begin < 350ms);
    now = begin;
    while (!sound.expired(now)) {
        now += 100ms;
        sound.moved(1'000'000, now);
    }
    CHECK(now == k_start + 6s);
    CHECK(Watch(limits, begin).expired(begin + 300ms));
}

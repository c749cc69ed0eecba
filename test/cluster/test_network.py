# SPDX-License-Identifier: Apache-2.0
"""A bad network between real replicas: the relay loses, delays, repeats and cuts one way."""

import time

from harness import HEARTBEAT_MS, QUICK, SANITIZED, ClusterTest, alone, wait_until

FLOOD = ("--clients", "16", "--duration", "600")


class OneWayCuts(ClusterTest):
    @alone
    def test_deaf_backup_never_topples_the_primary(self):
        """V2, VC-19: a backup that hears nobody suspects for ever, alone, and disturbs nobody."""
        # Heartbeats far apart, so that a busy machine is not taken for a silent primary.
        c = self.relayed_cluster(3, heartbeat_ms=4 * HEARTBEAT_MS)
        primary = c.primary()
        view = c.status()["view"]
        deaf = (primary + 1) % 3
        with c.flood(*FLOOD) as flood:
            c.order("cut", "*", deaf)
            time.sleep(5 * 6 * 4 * HEARTBEAT_MS / 1000)  # five times what makes it suspect
            self.assertEqual(c.status()["view"], view)
            self.assertEqual(c.status()["primary"], primary)
            self.assertGreater(c.heal()["disturbed"], 0)
            c.wait_normal()
        self.assertEqual(c.status()["view"], view)
        if not SANITIZED:
            self.assertLess(flood.result["longest_gap_ms"], 1000)
        c.wait_equal()

    def test_deaf_primary_is_replaced(self):
        """V1: a primary whose backups' answers do not reach it steps back, and they go on."""
        c = self.relayed_cluster(3)
        deaf = c.primary()
        with c.flood(*FLOOD):
            c.order("cut", "*", deaf)
            c.other_primary(deaf)
            before = int(c.value("incr", "n"))
            self.assertGreater(c.heal()["disturbed"], 0)
            c.wait_normal()
            self.assertEqual(int(c.value("incr", "n")), before + 1)
        c.wait_equal()

    def test_mute_primary_is_replaced(self):
        c = self.relayed_cluster(3)
        mute = c.primary()
        with c.flood(*FLOOD):
            c.order("cut", mute, "*")
            c.other_primary(mute)
            self.assertGreater(c.heal()["disturbed"], 0)
            c.wait_normal()
        c.wait_equal()

    def test_cut_off_primary_serves_nothing(self):
        """LS-5: both directions cut; its clients reach it, but it may answer no read or write."""
        c = self.relayed_cluster(3)
        self.assertEqual(c.value("incr", "n"), "1")
        alone = c.primary()
        c.order("cut", alone, "*")
        c.order("cut", "*", alone)
        c.other_primary(alone)
        self.assertEqual(c.value("incr", "n"), "2")
        for _ in range(10):
            self.assertEqual(c.value("get", "n"), "2")
        self.assertGreater(c.heal()["disturbed"], 0)
        c.wait_equal()


class BadLinks(ClusterTest):
    SECONDS = 3 if QUICK else 10

    def endure(self, count, *orders, flags=()):
        c = self.relayed_cluster(count, *flags)
        for order in orders:
            c.order(*order)
        with c.flood(*FLOOD):
            time.sleep(self.SECONDS)
            primary = c.primary()
            c.kill(primary)
            c.other_primary(primary)
            time.sleep(self.SECONDS)
            c.start(primary)
            wait_until(lambda: c.replica(primary)["status"] == "normal", "recovery")
        self.assertGreater(c.heal()["disturbed"], 0)
        c.wait_equal()

    def test_loss(self):
        self.endure(3, ("loss", "*", "*", 10))

    def test_loss_five_replicas(self):
        self.endure(5, ("loss", "*", "*", 10))

    def test_late_repeated_and_out_of_order(self):
        """UDP-2."""
        self.endure(3, ("delay", "*", "*", 2, 10), ("duplicate", "*", "*", 20))

    def test_loss_of_parts(self):
        """M6: values in hundreds of parts arrive although parts of them are lost."""
        c = self.relayed_cluster(3, "--datagram-size", "1400")
        c.order("loss", "*", "*", 3)
        value = b"y" * (256 * 1024 // (8 if SANITIZED else 1))
        for i in range(3):
            done = c.client("set", f"large{i}", "-", stdin=value)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(c.client("get", "large2").stdout.removesuffix(b"\n"), value)
        self.assertGreater(c.heal()["disturbed"], 0)
        c.wait_equal()

    @alone
    def test_slow_links(self):
        """A value that keeps a link busy for a while topples nobody."""
        c = self.relayed_cluster(3)
        view = c.status()["view"]
        c.order("rate", "*", "*", 100)
        done = c.client("set", "large", "-", stdin=b"y" * (256 * 1024 // (8 if SANITIZED else 1)))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(c.heal()["disturbed"], 0)
        c.wait_equal()
        self.assertEqual(c.status()["view"], view)


class ClientAddresses(ClusterTest):
    def test_requests_survive_the_view_that_took_them(self):
        """UDP-10: a new primary does not know where the client of an entry is; the client asks
        again, is answered from the client table, and nothing is executed twice."""
        c = self.relayed_cluster(3)
        for n in range(1, 4):
            primary = c.primary()
            # The backups' acks are lost: the entry is prepared everywhere and committed nowhere.
            c.order("cut", "*", primary)
            self.assertEqual(c.value("incr", "n"), str(n))
            self.assertGreater(c.heal()["disturbed"], 0)
            c.wait_normal()
        c.wait_equal()

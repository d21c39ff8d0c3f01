//! The life of a throwaway cluster.

use std::net::TcpStream;

use harness::postgres::Cluster;

#[test]
fn comes_back_on_its_port_until_dropped() {
    let cluster = Cluster::start().unwrap();
    let address = address_of(&cluster);
    assert!(accepts_connections(&address), "it runs once started");

    cluster.kill().unwrap();
    assert!(!accepts_connections(&address), "it is gone after a crash");
    cluster.start_again().unwrap();
    assert!(accepts_connections(&address), "it recovers from a crash");

    cluster.stop().unwrap();
    assert!(!accepts_connections(&address), "it is gone once stopped");
    cluster.start_again().unwrap();
    assert!(accepts_connections(&address), "it starts after a stop");

    drop(cluster);
    assert!(!accepts_connections(&address), "it is gone with its value");
}

#[test]
fn clusters_run_side_by_side() {
    let (one, other) = (Cluster::start().unwrap(), Cluster::start().unwrap());
    assert_ne!(one.url("postgres"), other.url("postgres"));
}

fn address_of(cluster: &Cluster) -> String {
    cluster.url("").trim_start_matches("postgres://postgres@").trim_end_matches('/').to_owned()
}

fn accepts_connections(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

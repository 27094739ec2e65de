use super::*;

fn read<T: Value>(text: &str) -> Option<T> {
    T::rule().read(text).ok().and_then(T::from_plain)
}

choices! {
    enum Colour {
        Red = "red",
        Green = "green",
    }
}

#[test]
fn a_refusal_says_what_is_accepted() {
    let refusal = |rule: Rule, text: &str| rule.read(text).unwrap_err().0;
    let bounded = Rule {
        min: Some(1),
        max: Some(9),
        ..u32::rule()
    };
    assert_eq!(refusal(bounded.clone(), "x"), "an integer from 1 to 9");
    assert_eq!(refusal(bounded.clone(), "0"), "at least 1");
    assert_eq!(refusal(bounded, "10"), "at most 9");
    assert_eq!(refusal(u32::rule(), "4294967296"), "at most 4294967295");
    assert_eq!(refusal(Limit::<u32>::rule(), "many"), "an integer");
    assert_eq!(refusal(Colour::rule(), "Red"), "one of red, green");
    assert_eq!(
        [Colour::Red, Colour::Green].map(Colour::as_str),
        Colour::CHOICES
    );
    assert_eq!(
        refusal(Vec::<Colour>::rule(), "red,blue"),
        "a list separated by commas, of red, green"
    );
    assert_eq!(refusal(Uri::rule(), "/"), "a URI with scheme and host");
}

#[test]
fn types_hold_what_their_texts_say() {
    assert_eq!(read("7"), Some(Duration::from_secs(7)));
    assert_eq!(read::<Option<Duration>>(""), Some(None));
    assert_eq!(read::<u32>(""), None);
    assert_eq!(read("3155760000"), Some(Duration::from_secs(3_155_760_000)));
    assert_eq!(read::<Duration>("3155760001"), None);
    assert_eq!(read::<Limit<Duration>>("3155760001"), None);
    assert_eq!(read("-3"), Some(Limit::<u32>::Unlimited));
    assert_eq!(read("3"), Some(Limit::AtMost(3_u32)));
    assert_eq!(read("red, green"), Some(vec![Colour::Red, Colour::Green]));
    assert_eq!(read::<Option<String>>(""), Some(None));
    assert_eq!(
        read::<Vec<SocketAddr>>("127.0.0.1:1, [::1]:2").map(|it| it.len()),
        Some(2)
    );
    assert_eq!(read::<Vec<SocketAddr>>("localhost:1"), None);
    assert_eq!(read::<Vec<Network>>("192.0.2.0/33"), None);
    assert_eq!(read::<Vec<Network>>("home"), None);
}

#[test]
fn a_network_contains_the_addresses_that_begin_like_it() {
    let contains = |network: &str, address: &str| {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    };
    assert!(contains("192.0.2.0/24", "192.0.2.255"));
    assert!(!contains("192.0.2.0/24", "192.0.3.0"));
    assert!(contains("192.0.2.7", "192.0.2.7"));
    assert!(!contains("192.0.2.7", "192.0.2.6"));
    assert!(contains("0.0.0.0/0", "192.0.2.1"));
    assert!(!contains("0.0.0.0/0", "2001:db8::1"));
    assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
    assert!(!contains("2001:db8::/32", "2001:db9::1"));
    assert!(contains("::/0", "2001:db8::1"));
}

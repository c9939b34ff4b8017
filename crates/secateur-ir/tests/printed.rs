//! The printed form of names that look like something else.

use secateur_ir::{Graph, Node, parse, print};

/// Domain and operator come back, and the text is the same again.
fn check(domain: &str, op: &str, name: &str) {
    let mut g: Graph = parse::graph("graph g opset() () -> () { }").unwrap();
    g.name = name.into();
    let y = g.add_value(name, None).unwrap();
    g.nodes.push(Node::new(domain, op, name, vec![None], vec![Some(y)]));
    g.outputs.push(y);
    let text = print::graph(&g);
    let again = parse::graph(&text).unwrap_or_else(|e| panic!("{e}\nof\n{text}"));
    assert_eq!((again.nodes[0].domain(), again.nodes[0].op()), (domain, op), "{text}");
    assert_eq!(print::graph(&again), text);
}

#[test]
fn odd_names_come_back() {
    for name in
        ["y", "a:", "a::", "//", "?x", "-1", "1", "a b", "\"", "_", "@y", "a->b", "\u{e9}", "0/Conv:0"]
    {
        check("", "Relu", name);
        check("own", name, "y");
        check(name, "Relu", "y");
    }
    check("own", "F//", "y");
    check("a::b", "F", "y");
    check("own", "x::y", "y");
    check("", "x::y", "y");
    check("a b", "x::y", "y");
}

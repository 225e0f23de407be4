//! Bytes as choices.

use inventory_fuzz::choices::Choices;

#[test]
fn without_bytes_every_choice_is_the_first_one() {
    let mut choices = Choices::new(&[3, 9]);
    assert_eq!(choices.pick(&['a', 'b']), &'b');
    assert!(choices.rarely(2), "9 of 2 is the rare one");
    assert!(choices.is_done());
    assert_eq!(choices.below(7), 0);
    assert_eq!(choices.pick(&['a', 'b']), &'a');
    assert!(!choices.rarely(2));
    assert_eq!(choices.place(0), None);
    assert_eq!(choices.word(), 0);
    assert!(choices.rest().is_empty());
}

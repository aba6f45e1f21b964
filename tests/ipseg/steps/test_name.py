from ipseg.bank import PromptsInMemory
from ipseg.steps.name import DescribeName, words_for
from ipseg.steps.prompt import KeepPrompt


def test_an_entry_is_asked_for_by_what_its_prompt_is_an_example_of():
    """Whatever the entry itself is called, as in an evaluation."""
    rows = [{"key": name, "uri": name, "concept": name} for name in ("tea_cup", "Käse")]
    kept = KeepPrompt()(DescribeName()(rows))
    renamed = [{**row, "concept": f"entry {number}"} for number, row in enumerate(kept)]
    first, second = PromptsInMemory(renamed, lambda shots: shots[0]).asked({})
    assert first.concept == "entry 0"
    assert (words_for(first, {}), words_for(second, {})) == ("tea cup", "Käse")
    assert words_for(first, {"tea_cup": "a cup of tea"}) == "a cup of tea"

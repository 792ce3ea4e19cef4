// Shows one reader of the sample: all of them stand in the page, so nothing is fetched.
const field = document.getElementById("who");
if (field) {
  const cards = new Map([...document.querySelectorAll("#sample .reader")].map((card) => [card.dataset.id, card]));
  const note = document.getElementById("none");
  const show = () => {
    const wanted = field.value.trim();
    let found = false;
    for (const [id, card] of cards) {
      card.hidden = id !== wanted;
      found ||= id === wanted;
    }
    note.hidden = found || wanted === "";
  };
  field.addEventListener("input", show);
  show();
}

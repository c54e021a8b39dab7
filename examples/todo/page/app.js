// The page of the to-do list. The server has the truth: every change is sent to it first, and what
// it answers is shown. Titles get into the page as text only, never as HTML.
'use strict';

const byId = (id) => document.getElementById(id);
const FILTERS = {
  all: () => true,
  active: (todo) => !todo.done,
  done: (todo) => todo.done,
};
const NOTHING = {
  all: 'Nothing to do. Write down what comes next.',
  active: 'All done. Well done.',
  done: 'Nothing is done yet.',
};

let todos = [];
const rows = new Map(); // the <li> of each item that is shown, by id

// --- Talking to the server ---

async function api(method, path, body) {
  let response;
  try {
    response = await fetch('api/todos' + path, {
      method,
      headers: { Accept: 'application/json', ...(body && { 'Content-Type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Error('The server cannot be reached.');
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) {
    const error = new Error(answer?.error || `The server answered with ${response.status}.`);
    error.status = response.status;
    throw error;
  }
  return answer;
}

// Does something that may fail; shows why it did, or takes the last message away.
async function attempt(action) {
  try {
    await action();
    byId('error').hidden = true;
    return true;
  } catch (error) {
    byId('error-text').textContent = error.message;
    byId('error').hidden = false;
    return false;
  } finally {
    render();
  }
}

async function load() {
  todos = await api('GET', '');
}

async function add(title) {
  todos.push(await api('POST', '', { title }));
}

async function change(id, what) {
  await orGone(id, async () => {
    const changed = await api('PATCH', '/' + id, what);
    todos = todos.map((todo) => (todo.id === id ? changed : todo));
  });
}

async function remove(id) {
  await orGone(id, () => api('DELETE', '/' + id));
  todos = todos.filter((todo) => todo.id !== id);
}

async function clearDone() {
  const gone = new Set((await api('DELETE', '?done=1')).map((todo) => todo.id));
  todos = todos.filter((todo) => !gone.has(todo.id));
}

// An item that somebody else has removed goes from this page, too.
async function orGone(id, action) {
  try {
    await action();
  } catch (error) {
    if (error.status !== 404)
      throw error;
    todos = todos.filter((todo) => todo.id !== id);
  }
}

// --- Showing ---

function currentFilter() {
  const name = location.hash.slice(1);
  return Object.hasOwn(FILTERS, name) ? name : 'all';
}

function render() {
  const filter = currentFilter();
  const shown = todos.filter(FILTERS[filter]);
  const done = todos.filter((todo) => todo.done).length;
  const left = todos.length - done;

  renderRows(shown);
  byId('empty').hidden = shown.length > 0;
  byId('empty').textContent = NOTHING[todos.length ? filter : 'all'];
  byId('foot').hidden = todos.length === 0;
  byId('count').textContent = `${left} ${left === 1 ? 'item' : 'items'} left`;
  byId('clear').hidden = done === 0;
  for (const link of document.querySelectorAll('nav a'))
    if (link.dataset.filter === filter)
      link.setAttribute('aria-current', 'true');
    else
      link.removeAttribute('aria-current');

  const percent = todos.length ? Math.floor((100 * done) / todos.length) : 0;
  byId('ring').hidden = todos.length === 0;
  byId('ring').style.setProperty('--done', percent);
  byId('ring').setAttribute('aria-label', `${done} of ${todos.length} done`);
  byId('percent').textContent = `${percent}%`;
  document.title = left ? `(${left}) To-do` : 'To-do';
}

// Lines that stay are kept, so that the keyboard's focus and an open editor stay with them.
function renderRows(shown) {
  const wanted = new Set(shown.map((todo) => todo.id));
  for (const [id, row] of rows)
    if (!wanted.has(id)) {
      row.remove();
      rows.delete(id);
    }
  let place = byId('list').firstElementChild;
  for (const todo of shown) {
    let row = rows.get(todo.id);
    if (!row) {
      row = newRow(todo.id);
      rows.set(todo.id, row);
    }
    fillRow(row, todo);
    if (row === place)
      place = place.nextElementSibling;
    else
      byId('list').insertBefore(row, place);
  }
}

function newRow(id) {
  const row = byId('item').content.firstElementChild.cloneNode(true);
  const box = row.querySelector('input');
  row.dataset.id = id;
  box.addEventListener('change', () =>
    attemptInRow(row, '.mark input', () => change(id, { done: box.checked })));
  row.querySelector('.title').addEventListener('dblclick', () => edit(row, id));
  row.querySelector('.edit').addEventListener('click', () => edit(row, id));
  row.querySelector('.delete').addEventListener('click', () =>
    attemptInRow(row, '.delete', () => remove(id)));
  return row;
}

// When the line goes away by what was done in it, the focus moves to its neighbour.
async function attemptInRow(row, control, action) {
  const neighbour = row.nextElementSibling || row.previousElementSibling;
  await attempt(action);
  if (!row.isConnected)
    (neighbour?.querySelector(control) || byId('title')).focus();
}

function fillRow(row, todo) {
  row.classList.toggle('done', todo.done);
  row.querySelector('input').checked = todo.done;
  row.querySelector('.mark .unseen').textContent = todo.title;
  row.querySelector('.title').textContent = todo.title;
  row.querySelector('.edit').setAttribute('aria-label', `Edit ${todo.title}`);
  row.querySelector('.delete').setAttribute('aria-label', `Delete ${todo.title}`);
}

function edit(row, id) {
  const title = row.querySelector('.title');
  if (title.hidden)
    return;
  const before = todos.find((todo) => todo.id === id).title;
  const editor = document.createElement('input');
  editor.className = 'editor';
  editor.maxLength = 200;
  editor.value = before;
  editor.setAttribute('aria-label', 'New title');
  title.hidden = true;
  title.after(editor);
  editor.focus();
  editor.select();

  let open = true;
  async function close(save, focus) {
    if (!open)
      return;
    open = false;
    const after = editor.value.trim();
    if (save && after && after !== before && !(await attempt(() => change(id, { title: after })))) {
      open = true; // the text is not lost: it can be sent again
      return;
    }
    editor.remove();
    title.hidden = false;
    if (focus)
      row.querySelector('.edit').focus();
  }
  editor.addEventListener('blur', () => close(true, false));
  editor.addEventListener('keydown', (event) => {
    if (event.isComposing)
      return;
    if (event.key === 'Enter')
      close(true, true);
    else if (event.key === 'Escape')
      close(false, true);
  });
}

// --- Start ---

byId('add').addEventListener('submit', async (event) => {
  event.preventDefault();
  const field = byId('title');
  const title = field.value.trim();
  if (!title)
    return;
  if (await attempt(() => add(title))) {
    field.value = '';
    if (currentFilter() === 'done')
      location.hash = 'all';
    const row = rows.get(todos[todos.length - 1].id);
    row?.classList.add('new');
    row?.scrollIntoView({ block: 'nearest' });
  }
});
byId('clear').addEventListener('click', () => attempt(clearDone).then(() => byId('title').focus()));
byId('error-close').addEventListener('click', () => {
  byId('error').hidden = true;
});
addEventListener('hashchange', render);
// Another tab or program may have changed the list meanwhile.
document.addEventListener('visibilitychange', () => document.hidden || attempt(load));

byId('date').textContent = new Date().toLocaleDateString('en', {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
});
attempt(load);

#!/usr/bin/env python3
"""The demo in a real browser, as a user would try it: every button, and the data stays.

With TEPAL_SCREENSHOTS=FOLDER it also leaves pictures of the page there.
"""
import os
import sys
import tempfile
import time
import unittest

import webdriver
from server import EXAMPLES, SKIPPED, Server, wait_for

NASTY = '<img src=x onerror="document.title=\'owned\'"> & <b>bold</b> \u2615'  # older drivers type nothing beyond U+FFFF


class TodoPage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.db = os.path.join(folder.name, 'todo.db')
        self.server = Server('todo', '--db', self.db).start()
        self.addCleanup(self.end_server)
        self.browser = self.enterContext(webdriver.Browser())
        self.browser.open(self.server.url + '/')

    def end_server(self):
        # A browser keeps connections open: the server must end all the same.
        try:
            self.server.stop()
        finally:
            self.server.kill()

    # --- What a user sees ---

    def shown(self):
        """(title, done) of each line."""
        return [tuple(line) for line in self.browser.run(
            "return [...document.querySelectorAll('#list li')].map((line) => "
            "[line.querySelector('.title').textContent, line.querySelector('input').checked]);")]

    def line(self, title):
        index = [text for text, _ in self.shown()].index(title)
        return self.browser.find_all('#list li')[index]

    def see(self, *expected):
        """Waits until exactly these lines are shown; 'x' in front means done: 'x Buy milk'."""
        want = [(text[2:], True) if text.startswith('x ') else (text, False) for text in expected]
        try:
            wait_for('the page shows these lines', lambda: self.shown() == want)
        except AssertionError as error:
            raise AssertionError('%s: %r; it shows %r' % (error, want, self.shown())) from None

    def see_text(self, selector, text):
        element = self.browser.find(selector)
        wait_for('%s shows %r' % (selector, text), lambda: element.text == text)

    def stored(self):
        return [(item['title'], item['done'])
                for item in self.server.request('GET', '/api/todos').json()]

    def add(self, *titles):
        for title in titles:
            self.browser.find('#title').type(title)
            self.browser.find('#add button').click()
            wait_for('the field is empty again',
                     lambda: self.browser.find('#title').property('value') == '')

    def picture(self, name):
        folder = os.environ.get('TEPAL_SCREENSHOTS')
        if folder:
            time.sleep(0.5)  # until nothing moves any more
            self.browser.screenshot(os.path.join(folder, name + '.png'))

    # --- The tests ---

    def test_add_and_keep(self):
        self.see_text('#empty', 'Nothing to do. Write down what comes next.')
        self.picture('empty')
        self.assertFalse(self.browser.find('#foot').displayed)
        # The field has the focus from the start, and Enter adds.
        self.browser.press(*'Buy milk', 'Enter')
        self.see('Buy milk')
        self.see_text('#count', '1 item left')
        self.add('Water the plants')
        self.browser.find('#title').type('   ')
        self.browser.press('Enter')
        self.see('Buy milk', 'Water the plants')
        self.see_text('#count', '2 items left')
        self.assertEqual(self.stored(), [('Buy milk', False), ('Water the plants', False)])
        self.browser.reload()
        self.see('Buy milk', 'Water the plants')

    def test_toggle_delete_and_clear(self):
        self.add('one', 'two', 'three', 'four')
        self.line('two').find('.mark').click()
        self.line('four').find('.mark').click()
        self.see('one', 'x two', 'three', 'x four')
        self.see_text('#count', '2 items left')
        self.see_text('#percent', '50%')
        self.assertEqual(self.browser.title, '(2) To-do')
        self.line('four').find('.mark').click()
        self.see('one', 'x two', 'three', 'four')
        self.line('one').find('.delete').click()
        self.see('x two', 'three', 'four')
        self.browser.find('#clear').click()
        self.see('three', 'four')
        self.assertFalse(self.browser.find('#clear').displayed)
        self.assertEqual(self.stored(), [('three', False), ('four', False)])

    def test_edit(self):
        self.add('one', 'two')
        self.line('one').find('.title').double_click()
        self.browser.press(*'uno', 'Enter')  # the old title is selected, so that it goes
        self.see('uno', 'two')
        self.line('two').find('.title').double_click()
        self.browser.press(*'never', 'Escape')
        self.see('uno', 'two')
        # With the button, and saved by going elsewhere.
        self.line('two').find('.edit').click()
        self.browser.press(*'due')
        self.browser.find('h1').click()
        self.see('uno', 'due')
        self.assertEqual(self.browser.find_all('.editor'), [])
        # An empty title changes nothing.
        self.line('due').find('.edit').click()
        self.browser.find('.editor').clear()
        self.browser.press('Enter')
        self.see('uno', 'due')
        self.assertEqual(self.stored(), [('uno', False), ('due', False)])

    def test_filters(self):
        self.add('one', 'two', 'three')
        self.line('two').find('.mark').click()
        self.see('one', 'x two', 'three')
        self.browser.find('nav a[data-filter=active]').click()
        self.see('one', 'three')
        self.assertEqual(self.browser.find('nav a[aria-current]').text, 'Active')
        self.line('one').find('.mark').click()
        self.see('three')
        self.browser.find('nav a[data-filter=done]').click()
        self.see('x one', 'x two')
        self.browser.reload()
        self.see('x one', 'x two')
        self.browser.find('#clear').click()
        self.see()
        self.see_text('#empty', 'Nothing is done yet.')
        self.browser.find('nav a[data-filter=all]').click()
        self.see('three')

    def test_keyboard_only(self):
        self.add('one', 'two')
        self.browser.find('#title').click()
        self.browser.press('Tab', 'Tab', 'Space')  # over the button, to the box of the first line
        self.see('x one', 'two')
        self.browser.press('Tab', 'Enter')  # its edit button
        self.browser.press(*'uno', 'Enter')
        self.see('x uno', 'two')
        self.browser.press('Tab', 'Enter')  # its delete button
        self.see('two')
        # The focus is on the neighbour's delete button, not lost.
        self.assertEqual(self.browser.run('return document.activeElement.ariaLabel;'), 'Delete two')

    def test_titles_are_text(self):
        self.add(NASTY)
        self.see(NASTY)
        self.browser.reload()
        self.see(NASTY)
        self.assertEqual(self.browser.find_all('#list img, #list b'), [])
        self.assertEqual(self.browser.title, '(1) To-do')
        # The policy forbids what a mistake of the page would let in.
        self.browser.run("document.body.insertAdjacentHTML('beforeend', "
                         "'<img src=\"data:x\" onerror=\"document.title=&quot;owned&quot;\">');")
        wait_for('the browser refuses the script', lambda: any(
            'Content Security Policy' in line for line in self.browser.console()))
        self.assertEqual(self.browser.title, '(1) To-do')

    def test_restart_of_the_server(self):
        self.add('one', 'two')
        self.line('one').find('.mark').click()
        self.see('x one', 'two')
        self.server.stop()
        # The user goes on, and is told.
        self.browser.find('#title').type('three')
        self.browser.find('#add button').click()
        self.see_text('#error-text', 'The server cannot be reached.')
        self.picture('unreachable')
        self.assertEqual(self.browser.find('#title').property('value'), 'three')
        self.line('two').find('.mark').click()
        self.see('x one', 'two')  # not done: the server does not know of it
        self.server.start(self.server.port)
        self.browser.find('#add button').click()
        self.see('x one', 'two', 'three')
        self.assertFalse(self.browser.find('#error').displayed)
        self.browser.reload()
        self.see('x one', 'two', 'three')

    def test_items_that_somebody_else_changed(self):
        self.add('one', 'two')
        self.server.request('DELETE', '/api/todos/1')
        self.line('one').find('.mark').click()
        self.see('two')
        self.server.request('POST', '/api/todos', {'title': 'three'})
        self.browser.run("document.dispatchEvent(new Event('visibilitychange'));")
        self.see('two', 'three')

    def test_no_complaints_and_no_scrolling_sideways(self):
        self.add('Book the train to Lisbon', 'Water the plants', 'Call grandmother',
                 'Read chapter 4, take notes, because there is a test on Monday, about pointers to '
                 'functions and_a_very_long_word_that_fits_no_line_of_any_telephone_at_all',
                 'Buy oat milk, bread and coffee')
        self.line('Book the train to Lisbon').find('.mark').click()
        self.line('Call grandmother').find('.mark').click()
        wait_for('two are done', lambda: self.browser.find('#percent').text == '40%')
        for name, width, height, mobile in (('desktop', 1100, 800, False), ('phone', 360, 740, True),
                                            ('tiny', 280, 600, True)):
            self.browser.emulate(width, height, mobile)
            self.assertLessEqual(
                self.browser.run('return document.documentElement.scrollWidth;'), width)
            for scheme in ('light', 'dark'):
                self.browser.devtools('Emulation.setEmulatedMedia', features=[
                    {'name': 'prefers-color-scheme', 'value': scheme}])
                self.picture('%s-%s' % (name, scheme))
        self.assertEqual(self.browser.console(), [])


if __name__ == '__main__':
    if webdriver.missing():
        print('skipped: %s is not installed' % webdriver.missing())
        sys.exit(SKIPPED)
    if not os.path.exists(os.path.join(EXAMPLES, 'todo')):
        print('skipped: todo was not built')
        sys.exit(SKIPPED)
    unittest.main()
